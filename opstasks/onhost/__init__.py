"""What programs on a host share: standard library only, Python 3.10."""
