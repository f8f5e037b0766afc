"""Fail, with a reason on standard error."""

import sys

print("about to fail")
print("the cohort is empty", file=sys.stderr)
sys.exit(1)
