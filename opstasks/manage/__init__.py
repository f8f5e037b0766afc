"""Make a host match its description (playbook: "Updating the infrastructure")."""
