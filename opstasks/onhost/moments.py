"""Runs on the host: times of files as an answer may hold them."""

# The year 3000: a later time is a broken clock, or was set by hand.
LATEST_S = 32_503_680_000.0


def moment(at: float) -> float:
    """A time in seconds since the epoch, limited to the years 1970 to 3000."""
    return min(max(0.0, float(at)), LATEST_S)
