"""Pairs whose findings are known and not mended yet: the reason, and the kinds of findings.

They are run all the same, and the summary names each with its reason.
"""

# A command that ended by a signal and printed nothing: the message does not say so.
SIGNAL = "'cannot start jobrunner' does not say that systemctl was killed by a signal"
KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "deploy --restart / started / step killed": (SIGNAL, ("message",)),
    "service.stop / stop / step killed": (SIGNAL, ("message",)),
}
