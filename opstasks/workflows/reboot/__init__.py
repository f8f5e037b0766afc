"""A reboot without a night shift: prepare for it now or later, look after it.

- `remote_maintenance.py`  what the host does: one script for now, for later and after the boot
- `remote_records.py`      what is armed, what became of it, who paused: a reader without rights
- `remote_after.py`        the facts of the checklist
- `records`, `prepare`, `after`  the client's side
"""
