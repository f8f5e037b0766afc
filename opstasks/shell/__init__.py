"""`shell` and `run`: a login shell, or one command, on a host."""
