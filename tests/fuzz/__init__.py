"""Generated answers for every reader, generated texts for every parser (CONTRIBUTING.md)."""
