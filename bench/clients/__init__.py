"""Small programs that use a library as its own documentation shows.

Each is called as `CLIENT SETTINGS.json COUNT`: it runs `uptime` COUNT times in sequence on every
host of the settings, all hosts together, and prints `HOST OUTPUT` as each answer arrives.
"""
