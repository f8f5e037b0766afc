"""Starting and stopping the service: what is asked of the host, and when nothing is touched."""

import json

import pytest

from opstasks.core.errors import Refused
from opstasks.service import act as service
from tests.fake import FakeHost

DOWN = "LoadState=loaded\nActiveState=inactive\nSubState=dead\n"


def host(*records):
    """A host with these releases, whose service is down."""
    return FakeHost(
        [
            ("/releases", "".join(json.dumps(record) + "\x1e" for record in records)),
            ("systemctl show", DOWN),
            ("python3", (1, "")),
            ("systemctl start", ""),
            ("sleep", ""),
            ("journalctl", ""),
        ]
    )


CUT_OFF = {"id": "2", "from_name": "v1", "to_name": "v2", "who": "a@b", "outcome": ""}
ENDED = {**CUT_OFF, "id": "1", "outcome": "deployed"}


@pytest.mark.parametrize("verb", [service.start, service.restart])
def test_no_service_starts_on_a_release_that_was_cut_off(verb):
    tpp = host(ENDED, CUT_OFF)
    with pytest.raises(Refused, match=r"v1 -> v2.* is unfinished") as caught:
        verb(tpp, 1)
    assert caught.value.hint.startswith("inv -H tpp deploy")
    assert not any("systemctl st" in line for line in tpp.seen)


def test_a_release_that_has_come_to_its_end_is_no_hindrance():
    tpp = host(ENDED)
    with pytest.raises(service.VerifyFailed, match="did not stay up"):
        service.start(tpp, 1)
    assert any("systemctl start" in line for line in tpp.seen)
