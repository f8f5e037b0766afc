"""`jobs.queries` and `db.progress` (playbook: "Debugging slow queries")."""
