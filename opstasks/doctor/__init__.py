"""`doctor`: check everything that the tasks rely on."""
