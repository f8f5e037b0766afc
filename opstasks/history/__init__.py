"""`history`: who changed what, when, and how it ended."""
