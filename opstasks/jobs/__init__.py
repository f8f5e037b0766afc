"""Jobs: which ones run where, what they print and use, and killing and retrying them."""
