"""Which hosts there are, how to run something there, one change at a time, and its record."""
