"""Measurements: opstasks compared with other tools and OpenSSH. Never part of the tests.

`make bench` measures every row, prints the table and writes it to bench/README.md.
"""
