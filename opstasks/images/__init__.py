"""`images.ls` and `images.update` (playbook: "Update docker image")."""
