"""Level 4 files: what is there, and removing one for good (playbook: "Removing a Level 4 file").

- `names`              what may be asked for, and how a name is shown
- `remote_outputs.py`  on the host, as the service account: list, look, remove, keep records
- `records`            what was removed, and who did the partner's steps
- `act`                the client's side
"""
