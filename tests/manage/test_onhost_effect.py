"""Reading what is in effect: output of systemctl, sshd and cvtsudoers, and hand-written files."""

import grp
import os
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.manage.onhost import (
    effect_logins,
    effect_root,
    effect_sshd,
    effect_sudo,
    effect_units,
    system_actions,
)

# Any text, and text that looks like output.
OUTPUT = st.one_of(
    st.text(), st.text(alphabet="Id=\n, \t\\#@%!:\"'{}()[]ALL/.defaults-matchinclude", max_size=200)
)

# -- units ---------------------------------------------------------------------------------------

SHOWN = """\
Id=jobrunner.service
LoadState=loaded
FragmentPath=/etc/systemd/system/jobrunner.service
DropInPaths=/run/a.conf /etc/b.conf
NeedDaemonReload=yes
User=opensafely
MainPID=0

Id=x.service
User=
"""


def test_units_are_read_by_name(monkeypatch):
    monkeypatch.setattr(effect_units, "drop_ins", lambda unit: [])
    first, second = map(effect_units.facts, effect_units.blocks(SHOWN))
    assert first["fragment"] == "/etc/systemd/system/jobrunner.service"
    assert first["drop_ins"] == {"/etc/b.conf": [], "/run/a.conf": []}
    assert (first["reload"], first["user"], first["runs_as"]) == (True, "opensafely", "")
    assert (second["reload"], second["user"]) == (False, "root")


def test_drop_ins_on_disk_are_found_by_unit_prefix_and_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(effect_units, "FOLDERS", (str(tmp_path),))
    names = ("a-b.service", "a-.service", "service", "a-b.timer", "b.service")
    for name in names:
        (tmp_path / f"{name}.d").mkdir()
        (tmp_path / f"{name}.d" / "x.conf").write_text("")
        (tmp_path / f"{name}.d" / "x.bak").write_text("")
    found = {path.split("/")[-2] for path in effect_units.drop_ins("a-b.service")}
    assert found == {"a-b.service.d", "a-.service.d", "service.d"}


def test_one_file_with_two_paths_is_named_once(tmp_path):
    (tmp_path / "usr").mkdir()
    (tmp_path / "lib").symlink_to("usr")
    paths = [f"{tmp_path}/lib/x.conf", f"{tmp_path}/usr/x.conf"]
    assert effect_units.distinct(paths) == [f"{tmp_path}/usr/x.conf"]


def test_only_the_keys_of_a_drop_in_are_told():
    text = "[Service]\nEnvironment=TOKEN=s3cret\n# User=x\nUser = root\nExecStart=\n"
    assert effect_units.keys_of(text) == ["Environment", "ExecStart", "User"]
    assert effect_units.keys_of(None) == []


def test_the_command_line_of_other_programs_is_not_told():
    assert effect_units.command_of(str(os.getpid())) == ""
    assert effect_units.account_of(str(os.getpid())) == pwd.getpwuid(os.geteuid()).pw_name
    assert effect_units.account_of("x") == effect_units.account_of("0") == ""


@given(OUTPUT)
def test_any_output_of_systemctl_is_read(text):
    for block in effect_units.blocks(text):
        assert block["id"]
    effect_units.keys_of(text)
    effect_root.variables(text)


# What systemd says before a start, and why the unit is not started.
STARTS = [
    ({}, ""),
    ({"drop_ins": {"/d.conf": []}}, ""),
    ({"drop_ins": {"/run/x.conf": ["User"]}}, "/run/x.conf changes its settings"),
    ({"fragment": "/run/u"}, "systemd uses /run/u"),
    ({"fragment": ""}, "systemd uses no file"),
    ({"user": "root"}, "it would run as root"),
]


@pytest.mark.parametrize(("over", "reason"), STARTS)
def test_a_unit_with_other_settings_is_not_started(over, reason):
    action = {"fragment": "/etc/u", "drop_ins": ["/d.conf"], "user": "opensafely"}
    now = {"fragment": "/etc/u", "drop_ins": {}, "user": "opensafely", **over}
    assert system_actions.foreign(action, now) == reason
    assert system_actions.foreign(action, None) == "systemd does not know it"


# -- sshd ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("PermitRootLogin no", "permitrootlogin", "no"),
        ("  permitrootlogin=yes # why", "permitrootlogin", "yes"),
        ("PermitRootLogin\tyes", "permitrootlogin", "yes"),
        ('PermitRootLogin "yes"', "permitrootlogin", "yes"),
        ('"PermitRootLogin" = yes', "permitrootlogin", "yes"),
        ("ChallengeResponseAuthentication yes", "kbdinteractiveauthentication", "yes"),
        ("# PermitRootLogin yes", "", ""),
        ("", "", ""),
        ("Match", "match", ""),
    ],
)
def test_a_line_of_sshds_configuration_is_read(line, key, value):
    assert effect_sshd.directive(line) == (key, value)


def test_included_files_are_read_in_place_and_a_match_ends_with_its_file(tmp_path):
    (tmp_path / "b.conf").write_text("Match User eve\nX 2\n")
    (tmp_path / "a.conf").write_text("X 1\n")
    main = tmp_path / "main"
    main.write_text(f"Include {tmp_path}/*.conf\nX 3\nMatch all\nInclude {tmp_path}/a.conf\nX 4\n")
    lines = [line for line in effect_sshd.config_lines(str(main)) if line["key"] == "x"]
    assert [(line["value"], line["match"]) for line in lines] == [
        *(("1", ""), ("2", "User eve"), ("3", ""), ("1", "all"), ("4", "all"))
    ]
    assert lines[1]["path"].endswith("b.conf")
    assert lines[1]["line"] == 2


def test_a_file_that_includes_itself_ends(tmp_path):
    main = tmp_path / "main"
    main.write_text(f"Include {main} {main}\n")
    assert len(effect_sshd.config_lines(str(main))) < 2 * effect_sshd.MOST_FILES


def test_values_of_several_lines_are_joined():
    text = "acceptenv LANG\nacceptenv LC_*\nport 22\n"
    assert effect_sshd.values_of(text, ["acceptenv"]) == {"acceptenv": "LANG LC_*"}


@pytest.mark.parametrize(
    ("text", "options"),
    [("SSHD_OPTS=\n", ""), ('SSHD_OPTS="-o X=yes"', "-o X=yes"), ("#SSHD_OPTS=-x", ""), (None, "")],
)
def test_options_of_sshd_are_read(text, options):
    assert effect_sshd.options(text) == options


@given(OUTPUT)
def test_any_text_of_sshd_is_read(text):
    effect_sshd.values_of(text, ["id", "match"])
    effect_sshd.options(text)
    for line in text.splitlines():
        key, _ = effect_sshd.directive(line)
        assert key == key.lower()


@given(st.text(alphabet="ab*?[]{}\"' .\0", max_size=30))
def test_any_pattern_of_an_include_is_tried(value):
    place = "/etc/ssh/sshd_config.d"
    assert all(path.startswith(place) for path in effect_sshd.found_by(f"{place}/{value}x"))


def test_two_stars_of_an_include_do_not_search_all_folders(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x").write_text("")
    assert effect_sshd.found_by(f"{tmp_path}/**/x") == []
    assert effect_sshd.found_by(f"{tmp_path}/**/**/x") == [f"{tmp_path}/a/b/x"]


# -- sudo ----------------------------------------------------------------------------------------


def test_long_lines_of_rules_are_joined():
    text = "Defaults a\n\nx ALL = (root) /bin/a,\\\n    /bin/b\\\n  c\nDefaults a\n"
    assert effect_sudo.lines_of(text) == ["Defaults a", "x ALL = (root) /bin/a, /bin/b c"]


def test_files_of_rules_are_found_as_sudo_does(tmp_path):
    folder = tmp_path / "more.d"
    folder.mkdir()
    for name in ("b", "a", "c.bak", "d~"):
        (folder / name).write_text("# nothing\n")
    (tmp_path / "one").write_text(f"@include {tmp_path}/main\n")
    main = tmp_path / "main"
    main.write_text(f"#includedir {folder}\n@include {tmp_path}/one\n# include x\n")
    found = effect_sudo.files_of(str(main))
    assert found == [str(main), f"{folder}/a", f"{folder}/b", f"{tmp_path}/one"]


def test_lines_of_a_file_keep_the_number_of_their_first_line(tmp_path):
    path = tmp_path / "x"
    path.write_text("# a comment\nCmnd_Alias X = \\\n  /bin/a\n#1000 ALL=X\n@includedir /y\n")
    found = [(entry["line"], entry["text"]) for entry in effect_sudo.numbered(str(path))]
    assert found == [(2, "Cmnd_Alias X = /bin/a"), (4, "#1000 ALL=X")]


def test_only_a_line_feed_ends_a_line_of_a_configuration_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("# a comment\u2028X 1\n# b\x85X 2\nX 3\n")
    (line,) = effect_sshd.config_lines(str(path))
    assert (line["line"], line["value"]) == (3, "3")
    assert [entry["line"] for entry in effect_sudo.numbered(str(path))] == [3]
    assert effect_sudo.plugins("#\x85Plugin x") == []


def test_other_sources_of_rules_are_found():
    assert effect_sudo.plugins("# Plugin x\nPlugin sudoers_policy other.so\n") == [
        "/etc/sudo.conf: Plugin sudoers_policy other.so"
    ]
    assert effect_sudo.sources("sudoers: files sss # x\n") == [
        "/etc/nsswitch.conf: sudoers: files sss"
    ]
    assert effect_sudo.sources("sudoers:  files\npasswd: files sss\n") == []


@given(OUTPUT)
def test_any_text_of_sudo_is_read(text):
    assert "" not in effect_sudo.lines_of(text)
    effect_sudo.included(text)
    effect_sudo.plugins(text)
    effect_sudo.sources(text)


# -- logins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "state"),
    [
        ("", "locked"),
        ("*", "locked"),
        ("!", "locked"),
        ("!*", "locked"),
        ("!$6$x$y", "locked"),
        ("$6$x$y", "set"),
        ("abcdefghijklm", "set"),
        ("x", "locked"),
    ],
)
def test_the_state_of_a_password(field, state):
    assert effect_logins.password_state(field) == state


def entry(name="eve", uid=1500, home="/h"):
    return pwd.struct_passwd((name, "x", uid, 100, "", home, "/bin/sh"))


def test_files_with_keys_are_those_of_sshds_configuration():
    found = effect_logins.key_files(entry(), ["/etc/keys/%u", "%h/k", "none", ".ssh/%%u", "%U"])
    assert found == [
        *("/h/.ssh/authorized_keys", "/h/.ssh/authorized_keys2"),
        *("/etc/keys/eve", "/h/k", "/h/.ssh/%u", "/h/1500"),
    ]


def test_an_account_of_two_sources_is_one_account(monkeypatch, tmp_path):
    (tmp_path / "shadow").write_text("eve:$6$x:1\nbob:*:1\nann:*:1\n")
    monkeypatch.setattr(effect_logins, "SHADOW", str(tmp_path / "shadow"))
    all_of_them = [entry(), entry("bob", 7), entry(home="/other"), entry("ann", 7)]
    monkeypatch.setattr(effect_logins.pwd, "getpwall", lambda: all_of_them)
    found = effect_logins.logins([], [])["accounts"]
    assert [(e["name"], e["state"], e["twins"]) for e in found] == [
        *(("eve", "set", []), ("bob", "locked", ["ann"]), ("ann", "locked", ["bob"])),
    ]


def test_members_by_their_own_group_count(monkeypatch):
    group = effect_logins.grp.struct_group(("docker", "x", 100, ["ann"]))
    monkeypatch.setattr(effect_logins.grp, "getgrnam", lambda name: group)
    assert effect_logins.members("docker", [entry()]) == ["ann", "eve"]


def test_members_of_another_group_with_the_same_id_count(monkeypatch):
    """The kernel only knows the id: `docker2:x:104:mallory` opens docker's socket."""
    groups = [
        grp.struct_group((name, "x", gid, members))
        for name, gid, members in (
            ("docker", 104, ["ann"]),
            ("docker2", 104, ["mallory"]),
            ("docker", 104, ["twice"]),
            ("games", 60, ["eve"]),
        )
    ]
    monkeypatch.setattr(effect_logins.grp, "getgrnam", lambda name: groups[0])
    monkeypatch.setattr(effect_logins.grp, "getgrall", lambda: groups)
    assert effect_logins.members("docker", []) == ["ann", "mallory", "twice"]


def test_who_can_join_a_group_by_any_line_with_its_id(tmp_path, monkeypatch):
    (tmp_path / "gshadow").write_text("disk:!::eve\ndisk2:$6$x::ann\ngames:$6$x::\n")
    monkeypatch.setattr(effect_logins.account_facts, "GSHADOW", str(tmp_path / "gshadow"))
    groups = [
        grp.struct_group((name, "x", gid, []))
        for name, gid in (("disk", 6), ("disk2", 6), ("disk", 6), ("games", 60))
    ]
    monkeypatch.setattr(effect_logins.grp, "getgrnam", lambda name: groups[0])
    monkeypatch.setattr(effect_logins.grp, "getgrall", lambda: groups)
    found = [
        (e["line"], e["way"], e["name"]) for e in effect_logins.logins([], ["disk"])["joiners"]
    ]
    assert found == [
        *(("disk", "member", "eve"), ("disk2", "member", "ann"), ("disk2", "password", "")),
    ]


# -- the service account -------------------------------------------------------------------------

# What makes something run as an account, in its home and elsewhere; and what does not.
LASTING = [
    "home/.config/systemd/user/x.service",
    "home/.config/systemd/user.control/x.service",
    "home/.config/systemd/user.conf",
    "home/.config/environment.d/x.conf",
    "home/.config/user-tmpfiles.d/x.conf",
    "home/.local/share/systemd/user/x.service",
    "home/.local/share/user-tmpfiles.d/x.conf",
    "home/.local/share/dbus-1/services/x.service",
    "home/.pam_environment",
    "home/.forward",
    "home/.procmailrc",
    "home/.ssh/rc",
    "home/.ssh/environment",
    "cron/svc",
    "linger/svc",
    "at/a00001",
    "run/4711/systemd/user/x.service",
    "run/4711/systemd/user.control/x.service",
    "run/4711/systemd/transient/x.timer",
]
HARMLESS = [
    *("home/.config/git/config", "home/.config/systemd/y", "home/.local/share/x", "home/.bashrc"),
    *("home/.ssh/known_hosts", "cron/other", "linger/other", "run/4712/systemd/user/x.service"),
]


@pytest.fixture
def lasting(tmp_path, monkeypatch):
    """Makes a file of the account; returns what is found then."""
    home, uid = str(tmp_path / "home"), 4711
    account = pwd.struct_passwd(("svc", "x", uid, uid, "", home, "/bin/sh"))
    monkeypatch.setattr(effect_logins.pwd, "getpwnam", lambda name: account)
    monkeypatch.setattr(effect_logins, "CRONTABS", (str(tmp_path / "cron"),))
    monkeypatch.setattr(effect_logins, "LINGER", str(tmp_path / "linger"))
    monkeypatch.setattr(effect_logins, "AT_JOBS", (str(tmp_path / "at"),))
    monkeypatch.setattr(effect_logins, "RUNTIME", str(tmp_path / "run"))
    owners = {str(tmp_path / "at/a00001"): uid}
    monkeypatch.setattr(effect_logins, "owner_of", lambda path: owners.get(path, 0))

    def make(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        return [each.removeprefix(f"{tmp_path}/") for each in effect_logins.persistence(["svc"])]

    return make


@pytest.mark.parametrize("name", LASTING)
def test_what_runs_something_as_the_service_account_is_found(lasting, name):
    assert lasting(name) == [name]


@pytest.mark.parametrize("name", [*HARMLESS, "at/a00002"])
def test_other_files_of_the_service_account_run_nothing(lasting, name):
    assert lasting(name) == []


def test_a_link_in_place_of_a_folder_or_a_file_is_found(tmp_path, lasting):
    """Root does not follow it, and what is there would run all the same."""
    lasting("elsewhere/x.conf")
    (tmp_path / "home/.config").mkdir(parents=True)
    for name in ("environment.d", "systemd"):
        (tmp_path / "home/.config" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "home/.forward").symlink_to(tmp_path / "elsewhere/x.conf")
    (tmp_path / "home/.config").chmod(0o777)
    found = lasting("elsewhere/y.conf")
    assert {"home/.config/environment.d", "home/.config/systemd/user", "home/.forward"} <= {*found}


def test_the_owner_of_a_job_of_at_is_the_account(tmp_path):
    job = tmp_path / "a00001"
    job.write_text("x")
    assert effect_logins.owner_of(str(job)) == os.geteuid()
    assert effect_logins.owner_of(str(tmp_path)) == -1
    assert effect_logins.owner_of(str(tmp_path / "none")) == -1
    (tmp_path / "link").symlink_to(job)
    assert effect_logins.owner_of(str(tmp_path / "link")) == -1


# -- other ways ----------------------------------------------------------------------------------


def test_docker_on_the_network_is_found():
    assert effect_root.listeners(None, [["dockerd", "-H", "fd://"]]) == []
    assert len(effect_root.listeners('{"hosts": ["tcp://0.0.0.0:2375"]}', [])) == 1
    assert len(effect_root.listeners("{}", [["dockerd", "-H", "tcp://1.2.3.4"]])) == 1


@given(st.one_of(st.none(), st.text(), st.sampled_from(["[]", "1", '{"hosts": 1}', "[" * 9999])))
def test_any_configuration_of_docker_is_read(text):
    effect_root.listeners(text, [])


def test_only_the_names_of_unusual_variables_are_told():
    text = "LANG=C\nPATH=/bin\nLC_ALL=C\nTOKEN=s3cret\nLD_PRELOAD=/x\n"
    assert effect_root.variables(text) == [
        "systemd sets TOKEN for every service",
        "systemd sets LD_PRELOAD for every service",
    ]


def test_a_folder_behind_a_link_is_named_itself(tmp_path):
    """Root does not follow the links of an account, and what is there would run all the same."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x.service").touch()
    assert effect_logins.inside(str(tmp_path / "real")) == [str(tmp_path / "real/x.service")]
    link = tmp_path / "link"
    link.symlink_to("real")
    assert effect_logins.inside(str(link)) == [str(link)]
    tmp_path.chmod(0o777)
    below = str(link / "user")
    assert effect_logins.inside(below) == [below]
    assert effect_logins.inside(str(tmp_path / "none")) == []
