"""A reboot without a night shift: prepare for it now or later, look after it.

- `records`, `prepare`, `cancelling`, `after`  the client's side; `site` calls the host's

The `remote_*` files run on the host, with the standard library only, as three programs:

- `remote_maintenance`  what the host does, now, later and after the boot. Its operations are in
  `remote_pause`, `remote_arm`, `remote_cancel`, `remote_fire` (which runs `remote_prepare`) and
  `remote_boot`
- `remote_records`      what is armed, what became of it, who paused: a reader without rights
- `remote_after`        the facts of the checklist
"""
