"""`sync.*`: the Level 3 sync (playbook: "Level 3 file sync")."""
