"""Descriptions: every mistake is named with its file and key, before any connection."""

from importlib import resources

import pytest

from opstasks.core.errors import Refused
from opstasks.manage import describe, keys, units
from opstasks.manage.layers import merged
from opstasks.sync import units as sync
from tests.manage.manage_help import described, facts_of, key, plan_of, spec, write_backends

ROLES = {
    "groups": [{"name": "developers"}, {"name": "reviewers", "gid": 10010}],
    "roles": [
        {"name": "developers", "groups": ["developers", "reviewers"]},
        {"name": "reviewers", "groups": ["reviewers"]},
    ],
}
FILE = {"path": "/etc/x", "source": "x", "owner": "root", "group": "root", "mode": "0644"}


@pytest.fixture
def backends(tmp_path, monkeypatch):
    monkeypatch.setenv("OPSTASKS_BACKENDS", str(tmp_path))

    def write(**parts):
        return write_backends(tmp_path, **parts)

    return write


@pytest.mark.parametrize("backend", ["sandbox", "tpp", "emis", "test"])
def test_the_descriptions_in_the_package_have_no_mistakes(backend):
    wanted = described(backend)
    assert {unit.name for unit in wanted.units} >= {"jobrunner"}
    assert wanted.contents["/home/opensafely/config/03_backend.env"]


def test_a_listed_person_gets_an_account_a_home_and_keys(backends):
    backends(base=ROLES | {"people": {"developers": ["ada"]}}, keys={"ada": key() + " laptop\n"})
    wanted = described()
    (ada,) = (user for user in wanted.users if user.name == "ada")
    assert ada.groups == ("developers", "reviewers")
    assert ada.personal
    homes = {d.path: (d.owner, d.mode) for d in wanted.directories}
    assert homes == {"/home/ada": ("ada", "0700"), "/home/ada/.ssh": ("ada", "0700")}
    text = wanted.contents["/home/ada/.ssh/authorized_keys"]
    assert text.splitlines()[-1] == key() + " ada"
    assert "laptop" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grups": []}, "unknown section 'grups'; did you mean 'groups'"),
        ({"files": [FILE | {"mod": "1"}]}, "files: /etc/x: mod: unknown key; did you mean 'mode'"),
        ({"files": [FILE | {"mode": "644"}]}, "mode '644' must look like '0640'"),
        ({"files": [FILE | {"mode": 420}]}, "files: /etc/x: mode: 420: Expected `str`, got `int`"),
        ({"files": [FILE | {"path": "etc/x"}]}, "'etc/x' is not a plain absolute path"),
        ({"files": [FILE | {"path": "/etc/../x"}]}, "not a plain absolute path"),
        ({"files": [FILE, dict(FILE)]}, "'/etc/x' is a duplicate"),
        ({"files": [FILE | {"source": "nope"}]}, "no file 'nope'"),
        ({"files": [{"source": "x"}]}, "needs the key 'path'"),
        ({"options": {"packages": "perhaps"}}, "options"),
        (
            {"options": {"keysource": ""}},
            "options.keysource: unknown key; did you mean 'key_source'",
        ),
        ({"options": {"key_source": "http://x/{name}"}}, "must be an https address"),
        ({"people": {"developers": ["bob"]}}, "backends/keys/bob: No such file"),
        ({"people": {"developers": ["bad"]}}, "backends/keys/bad: line 2: not a public key"),
        ({"people": {"developers": ["none"]}}, "backends/keys/none: has no key"),
        ({"people": {"developers": ["Ada"]}}, "'Ada' is not an account name"),
        ({"people": {"developers": ["root"]}}, "'root' is an account of the description"),
        ({"people": {"testers": ["ada"]}}, "people.testers: unknown role"),
        (
            {"people": {"developers": ["ada"], "reviewers": ["ada"]}},
            "'ada' is in two roles, developers and reviewers",
        ),
        ({"roles": [{"name": "developers", "groups": ["wheel"]}]}, "unknown group 'wheel'"),
        (
            {"settings": [{"name": "s", "path": "/etc/s", "match": "(", "line": "a"}]},
            "settings: s: match",
        ),
        (
            {"settings": [{"name": "s", "path": "/etc/s", "match": "a{9999999999}", "line": "a"}]},
            "settings: s: match",
        ),
        (
            {"settings": [{"name": "s", "path": "/etc/s", "match": "^b", "line": "a"}]},
            "`match` must find `line`",
        ),
        (
            {"units": [{"name": "u", "state": "paused"}]},
            "units: u: state: 'paused': Invalid enum value",
        ),
        ("a: [", "host.yaml"),
        ("files: []\nfiles: []\n", "duplicate key"),
        ("- 1\n", "mapping of sections"),
        ({"files": [FILE | {"source": "bad-holder"}]}, "unknown placeholder @nobody@"),
        (
            {"files": [FILE | {"path": "/etc/systemd/system/u.service", "source": "bad-unit"}]},
            "line 2: neither [Section] nor Key=value",
        ),
    ],
)
def test_a_mistake_is_refused_by_name(backends, change, said):
    backends(
        base=ROLES,
        own=change,
        files={"x": "", "bad-holder": "@nobody@", "bad-unit": "[Service]\nExecStart\n"},
        keys={"ada": key(), "bad": f"{key()}\n<html>\n", "none": "# nobody\n"},
    )
    with pytest.raises(Refused) as caught:
        described()
    assert said in str(caught.value)


@pytest.mark.parametrize("sign", ["\r", "\x85", "\u2028", "\u202e"])
def test_a_setting_that_looks_like_a_comment_is_refused(backends, sign):
    hidden = f"# an old rule:{sign}rosa ALL=(ALL) NOPASSWD: ALL\n"
    folder = backends(base=ROLES, own={"files": [FILE]}, files={"x": ""})
    (folder / "mine/files/x").write_bytes(hidden.encode())
    with pytest.raises(Refused, match="files/x: line 1 has the invisible sign"):
        described()
    (folder / "mine/files/x").write_text("")
    (folder / "mine/host.yaml").write_bytes(f"# old:{sign}people: {{}}\n".encode())
    with pytest.raises(Refused, match=r"host\.yaml: line 1 has the invisible sign"):
        described()


def test_a_key_that_looks_like_a_comment_is_not_used(backends):
    folder = backends(base=ROLES | {"people": {"developers": ["ada"]}}, keys={"ada": key(1)})
    (folder / "keys/ada").write_bytes(f"# old\r{key(2)}\n{key(1)}\n".encode())
    assert key(2) not in described().contents["/home/ada/.ssh/authorized_keys"]


def test_a_file_of_the_operator_is_not_sent_to_a_host(tmp_path):
    """A person who proposes a change of a description must not get the operator's private key."""
    folder = tmp_path / "of"
    folder.mkdir()
    write_backends(folder, base=ROLES, files={"x": "good"})
    (tmp_path / "id_ed25519").write_text("PRIVATE")
    (folder / "mine/files/link").symlink_to("../../../id_ed25519")
    (folder / "mine/files/other").symlink_to("x")
    for source in ("link", "../../../id_ed25519", str(tmp_path / "id_ed25519")):
        write_backends(folder, own={"files": [FILE | {"source": source}]})
        with pytest.raises(Refused, match=r"it is not below .*/of"):
            described(backends=str(folder))
    write_backends(folder, own={"files": [FILE | {"source": "other"}]})
    assert described(backends=str(folder)).contents == {"/etc/x": "good"}


@pytest.mark.parametrize(
    ("end", "is_same"), [("", True), (".git", True), ("/", True), ("s", False)]
)
def test_a_checkout_comes_from_where_deploy_expects_it(backends, end, is_same):
    host = spec()
    place = {"path": host.code_dir, "ref": "main", "owner": "root"}
    place["url"] = f"{host.deploy.code.url}{end}"
    backends(own={"checkouts": [place]})
    if is_same:
        assert describe.describe(host).checkouts
        return
    with pytest.raises(Refused, match="url differs from deploy"):
        describe.describe(host)


def test_a_host_with_a_level3_source_gets_the_files_of_the_sync(backends):
    backends(base={"options": {"packages": "manage"}})
    host = spec(level3_source="/e/ws")
    wanted = describe.describe(host)
    assert wanted.contents == sync.files(host)
    assert {file.path: (file.owner, file.mode, file.reload) for file in wanted.files} == {
        "/usr/local/lib/opstasks/level3-sync": ("root", "0644", ""),
        "/etc/systemd/system/opstasks-level3-sync.service": ("root", "0644", "daemon"),
        "/etc/systemd/system/opstasks-level3-sync.timer": ("root", "0644", "daemon"),
    }
    assert [folder.path for folder in wanted.directories] == ["/usr/local/lib/opstasks"]
    # sync.start and sync.stop enable and disable the timer.
    assert wanted.units == ()
    for path, text in wanted.contents.items():
        if path.endswith((".service", ".timer")):
            assert list(units.mistakes(path, text)) == []
    assert describe.describe(spec()).files == ()


def test_a_description_cannot_replace_the_files_of_the_sync(backends):
    path = "/etc/systemd/system/opstasks-level3-sync.timer"
    backends(own={"files": [FILE | {"path": path}]}, files={"x": "[Timer]\nOnActiveSec=1\n"})
    with pytest.raises(Refused, match="belongs to the Level 3 sync"):
        describe.describe(spec(level3_source="/e/ws"))
    assert describe.describe(spec()).contents


def test_all_mistakes_are_listed_at_once(backends):
    backends(
        own={"files": [FILE | {"mode": "1"}, FILE | {"path": "x", "mode": "2"}]}, files={"x": ""}
    )
    with pytest.raises(Refused, match=r"3 mistakes: [^\n]+$") as caught:
        described()
    assert len(caught.value.tail.split("\n")) == 2, "an error is one line, the others are below it"


def test_a_truth_value_of_a_host_is_written_as_in_hosts_yaml(backends):
    backends(own={"files": [FILE]}, files={"x": "A=@vars.a@\nB=@vars.b@\nC=@vars.c@\n"})
    wanted = describe.describe(spec(vars={"a": True, "b": False, "c": 4}))
    assert wanted.contents == {"/etc/x": "A=true\nB=false\nC=4\n"}


def test_an_unknown_backend_is_refused_with_the_known_ones(backends):
    backends()
    with pytest.raises(Refused, match="one of mine"):
        describe.describe(spec("yours"))


def test_a_machine_that_is_not_a_host_needs_a_named_host(backends):
    backends()
    with pytest.raises(Refused, match="name one with -H"):
        describe.describe(spec("", local=True))


def test_a_later_layer_replaces_keys_and_adds_people():
    base = {
        "files": [{"path": "/a", "mode": "0600", "owner": "root"}],
        "people": {"developers": ["ada"]},
        "options": {"upgrade": True},
    }
    own = {
        "files": [{"path": "/a", "mode": "0640"}, {"path": "/b"}],
        "people": {"developers": ["bob", "ada"], "reviewers": ["eve"]},
        "options": {"packages": "report"},
    }
    both = merged([base, own])
    assert both["files"] == [{"path": "/a", "mode": "0640", "owner": "root"}, {"path": "/b"}]
    assert both["people"] == {"developers": ["ada", "bob"], "reviewers": ["eve"]}
    assert both["options"] == {"upgrade": True, "packages": "report"}


# -- the key source ------------------------------------------------------------------------------

SOURCE = {"options": {"key_source": "https://keys.example/{name}.keys"}}


def test_keys_of_a_source_are_added_to_those_of_the_repository(backends):
    backends(base=ROLES | SOURCE | {"people": {"developers": ["ada"]}}, keys={"ada": key(1)})
    asked = []

    def fetch(source, names):
        asked.append((source, list(names)))
        return {"ada": keys.parse(key(2))}

    wanted = described(fetch=fetch)
    assert asked == [("https://keys.example/{name}.keys", ["ada"])]
    text = wanted.contents["/home/ada/.ssh/authorized_keys"]
    assert key(1) in text
    assert key(2) in text
    assert not wanted.notes


@pytest.mark.parametrize("repository", [{"ada": key(1)}, {}])
def test_a_key_source_that_fails_never_replaces_a_file(backends, repository):
    backends(base=ROLES | SOURCE | {"people": {"developers": ["ada"]}}, keys=repository)
    wanted = described(fetch=lambda _, names: dict.fromkeys(names, "timed out"))
    assert any("timed out" in note for note in wanted.notes)
    facts = facts_of(wanted)
    path = "/home/ada/.ssh/authorized_keys"
    facts["paths"][path] = {"kind": "file", "owner": "ada", "group": "ada", "mode": "0600"}
    assert plan_of(facts, wanted).steps == ()
    # Without a file, the repository's keys are better than none.
    facts["paths"][path] = None
    assert [step.thing for step in plan_of(facts, wanted).steps] == ([path] if repository else [])


# -- unit files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("u.service", "[Service]\nExecStart=/bin/true\n", None),
        ("u.service", "[Service]\nExecStart=/bin/a \\\n  b\n# c\n[Install]\nWantedBy=x\n", None),
        ("u.timer", "[Timer]\nOnCalendar=daily\n", None),
        ("u.service.d/a.conf", "[Service]\nNice=1\n", None),
        ("u.service", "[Service]\nNice=1\n", "[Service] has no ExecStart"),
        ("u.service", "[Unit]\nDescription=x\n", "has no [Service] section"),
        ("u.service", "ExecStart=/bin/true\n", "line 1: comes before any [Section]"),
        ("u.service", "[Timer]\nA=b\n", "line 1: [Timer] does not belong"),
        ("u.thing", "", "not a known kind of unit"),
    ],
)
def test_mistakes_in_unit_files_are_found(path, text, said):
    found = list(units.mistakes(f"/etc/systemd/system/{path}", text))
    assert (said in found[0]) if said else not found


def test_the_sandbox_and_its_people_are_for_the_hosts_of_the_sandbox_only():
    with pytest.raises(Refused, match=r"no description for backend 'sandbox'.*emis, test, tpp"):
        describe.describe(spec("sandbox", backends=""))
    program = resources.files("opstasks.backends")
    assert not program.joinpath("keys").is_dir()
    for backend in ("tpp", "emis", "test"):
        assert described(backend).listed() == {}


def test_a_hosts_own_folder_of_descriptions_uses_the_built_in_base_or_its_own(tmp_path):
    folder = write_backends(tmp_path, own={}, files={})
    base = described("mine", backends=str(folder))
    assert {unit.name for unit in base.units} >= {"jobrunner"}
    write_backends(folder, base={"groups": [{"name": "x"}]})
    assert [group.name for group in described("mine", backends=str(folder)).groups] == ["x"]


def test_a_folder_of_the_environment_overrides_the_hosts_own(backends, tmp_path):
    backends(base={"groups": [{"name": "x"}]})
    elsewhere = str(tmp_path / "missing")
    assert [group.name for group in described("mine", backends=elsewhere).groups] == ["x"]


def test_a_folder_of_descriptions_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"backends in hosts\.yaml: '.*missing' is not a folder"):
        described("mine", backends=str(tmp_path / "missing"))
