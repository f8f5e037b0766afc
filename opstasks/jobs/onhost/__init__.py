"""onhost."""
