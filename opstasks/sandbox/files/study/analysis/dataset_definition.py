"""What a dataset definition would be; the sandbox's ehrql does not read it."""
