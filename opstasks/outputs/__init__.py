"""Level 4 files: list and remove them (playbook: "Removing a Level 4 file")."""
