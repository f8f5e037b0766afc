"""`hosts`: the selected hosts, and which connections to them are kept."""
