"""Every open shell gets heartbeats until it is closed."""

import threading

from opstasks.fleet import heartbeat
from opstasks.fleet.heartbeat import Heartbeats


class Member:
    def __init__(self):
        self.beats = 0
        self.twice = threading.Event()

    def heartbeat(self):
        self.beats += 1
        if self.beats == 2:
            self.twice.set()


def test_members_get_heartbeats_until_they_are_discarded(monkeypatch):
    monkeypatch.setattr(heartbeat, "HEARTBEAT_S", 0.01)
    beats, first, second = Heartbeats(), Member(), Member()
    beats.add(first)
    beats.add(second)
    assert first.twice.wait(5)
    beats.discard(first)
    seen = first.beats
    second.twice.clear()
    second.beats = 0
    assert second.twice.wait(5)
    # One more may have been in flight.
    assert first.beats <= seen + 1
