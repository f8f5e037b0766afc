"""Pairs whose findings are known and not mended yet: the reason, and the kinds of findings.

They are run all the same, and the summary names each with its reason.
"""

KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {}
