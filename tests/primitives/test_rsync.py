"""The copy of the Level 3 sync: the arguments of rsync."""

from opstasks.primitives import rsync


def test_the_copy_deletes_nothing_and_shows_no_partial_file():
    words = rsync.careful_copy("/e/w/", "/srv/m/workspaces", "/srv/m/.tmp", ("/.hold",))
    assert words[0] == "rsync"
    assert {"--recursive", "--update", "--no-partial", "--temp-dir=/srv/m/.tmp"} <= set(words)
    assert not [word for word in words if "delete" in word or word in ("-P", "--partial")]
    assert "--inplace" not in words
    assert words[-3:] == ["--", "/e/w/", "/srv/m/workspaces/"]


def test_links_devices_owners_and_modes_are_not_copied():
    words = rsync.careful_copy("/e", "/srv", "/tmp", ())
    assert not {"--archive", "-a", "--links", "--devices", "--perms", "--group"} & set(words)
    assert "--chmod=D0750,F0640" in words
