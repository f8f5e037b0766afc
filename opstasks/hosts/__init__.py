"""`hosts`: the hosts that -H means, and the connections that are kept to them."""
