"""The fault matrix: every step of every change, with every fault, on real hosts."""
