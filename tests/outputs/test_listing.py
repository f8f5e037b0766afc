"""outputs.ls: what a refusal leads to next."""

import pytest

from opstasks.core.errors import Refused
from opstasks.outputs.listing import (
    FILES,
    WORKSPACES,
    FilesRequest,
    WorkspacesRequest,
    list_files,
    list_workspaces,
)
from tests.fake_host import refused


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (refused("/srv/x does not exist"), "inv -H tpp manage"),
        (refused("w has more than 20000 files"), "inv -H tpp outputs.ls"),
        (Refused("no account", hint="inv -H tpp manage"), "inv -H tpp manage"),
    ],
)
def test_a_refusal_has_a_hint(fake_host, reply, hint):
    host = fake_host()
    host.expect(FILES, FilesRequest(host.spec.workspaces_dir, "w"), reply)
    with pytest.raises(Refused) as caught:
        list_files(host, "w")
    assert caught.value.hint == hint


def test_a_host_without_workspaces_leads_to_manage(fake_host):
    host = fake_host()
    asked = WorkspacesRequest(host.spec.workspaces_dir)
    host.expect(WORKSPACES, asked, refused("/srv/x does not exist"))
    with pytest.raises(Refused) as caught:
        list_workspaces(host)
    assert caught.value.hint == "inv -H tpp manage"
