"""A host from its description (playbook: "Updating the infrastructure").

- `describe`  reads and checks the description of a backend (folder ``backends/``)
- `facts`     asks a host, in one round trip, how the things described stand there
- `plan`      pure: the steps from how it is to how it should be
- `apply`     carries the steps out on the host, in one script, and looks again

`remote_facts.py` and `remote_apply.py` run on the host as root, with the standard library only.
"""
