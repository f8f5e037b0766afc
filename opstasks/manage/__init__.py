"""A host made as its description says (playbook: "Updating the infrastructure")."""
