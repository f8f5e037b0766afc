"""`status`: one row for each host, and what needs a person."""
