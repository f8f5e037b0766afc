"""The Level 3 sync (playbook: "Level 3 file sync"): a timer unit, not a loop in a terminal.

- `remote_run.py`    one run: installed on the host, started by the timer as the service account
- `remote_units.py`  as root: put script and units in their places, start and stop them
- `remote_look.py`   how it stands, in one round trip and without rights
- `units`            what is installed
- `act`              the client's side
"""
