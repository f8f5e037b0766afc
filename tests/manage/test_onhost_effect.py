"""Reading what is in effect: output of systemctl, sshd and cvtsudoers, and hand-written files."""

import grp
import os
import pwd
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.manage.onhost import (
    effect_logins,
    effect_sshd,
    effect_sudo,
    effect_units,
    system_actions,
)
from opstasks.onhost import plain_text
from tests.manage.onhost_help import as_root

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
    assert effect_units.keys_of("") == []


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\r\n", "\\\n"], ids=ascii)
def test_a_key_is_found_wherever_systemd_begins_a_line(sign):
    """Also after a continued line: more keys than systemd reads do no harm."""
    found = effect_units.keys_of(f"[Service]\nProtectHome=no{sign}ExecStartPre=+/x\n")
    assert found == ["ExecStartPre", "ProtectHome"]


def test_a_drop_in_that_is_not_read_whole_sets_more_than_its_keys(tmp_path):
    path = tmp_path / "x.conf"
    text = "ProtectHome=no\n"
    path.write_text(text + "#" * (plain_text.MOST_BYTES - len(text)))
    assert effect_units.keys_in(str(path)) == ["ProtectHome"]
    path.write_text(path.read_text() + "\nExecStartPre=+/x\n")
    assert effect_units.keys_in(str(path)) == ["ProtectHome", effect_units.UNREAD]
    (tmp_path / "pipe.conf").symlink_to("/dev/null")
    assert effect_units.keys_in(str(tmp_path / "pipe.conf")) == [effect_units.UNREAD]
    (tmp_path / "link.conf").symlink_to("other.conf")
    (tmp_path / "other.conf").write_text("User=root\n")
    assert effect_units.keys_in(str(tmp_path / "link.conf")) == ["User"]


def test_the_command_line_of_other_programs_is_not_told():
    assert effect_units.command_of(str(os.getpid())) == ""
    assert effect_units.account_of(str(os.getpid())) == pwd.getpwuid(os.geteuid()).pw_name
    assert effect_units.account_of("x") == effect_units.account_of("0") == ""


@given(OUTPUT)
def test_any_output_of_systemctl_is_read(text):
    for block in effect_units.blocks(text):
        assert block["id"]
    effect_units.keys_of(text)


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
    found, unread = effect_sshd.config_lines(str(main))
    lines = [line for line in found if line["key"] == "x"]
    assert unread == []
    assert [(line["value"], line["match"]) for line in lines] == [
        *(("1", ""), ("2", "User eve"), ("3", ""), ("1", "all"), ("4", "all"))
    ]
    assert lines[1]["path"].endswith("b.conf")
    assert lines[1]["line"] == 2


def test_a_file_that_includes_itself_ends(tmp_path):
    main = tmp_path / "main"
    main.write_text(f"Include {main} {main}\n")
    lines, unread = effect_sshd.config_lines(str(main))
    assert len(lines) < 2 * effect_sshd.MOST_FILES
    assert unread == [str(main)]


def test_a_link_of_roots_is_read_as_sshd_reads_it(tmp_path):
    (tmp_path / "elsewhere").write_text("Match User eve\nPasswordAuthentication yes\n")
    (tmp_path / "between").symlink_to("elsewhere")
    (tmp_path / "a.conf").symlink_to(tmp_path / "between")
    main = tmp_path / "main"
    main.write_text(f"Include {tmp_path}/*.conf\n")
    lines, unread = effect_sshd.config_lines(str(main))
    assert [(line["key"], line["match"]) for line in lines[:2]] == [
        *(("match", "User eve"), ("passwordauthentication", "User eve")),
    ]
    assert lines[0]["path"] == f"{tmp_path}/a.conf"
    assert unread == []


@pytest.mark.parametrize("kind", ["large", "pipe", "device", "folder", "loop"])
def test_a_file_of_sshd_that_is_not_read_whole_is_named(tmp_path, kind):
    path = tmp_path / "a.conf"
    make = {
        "large": lambda: path.write_text("#\n" * plain_text.MOST_BYTES),
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": lambda: path.mkdir(),
        "loop": lambda: path.symlink_to("a.conf"),
    }
    make[kind]()
    main = tmp_path / "main"
    main.write_text(f"Include {tmp_path}/*.conf\n")
    assert effect_sshd.config_lines(str(main))[1] == [str(path)]


@as_root
def test_a_link_that_another_account_may_have_made_is_named(tmp_path):
    (tmp_path / "real").write_text("X 1\n")
    (tmp_path / "link").symlink_to("real")
    os.chown(tmp_path / "link", 1234, 1234, follow_symlinks=False)
    assert effect_sshd.config_lines(str(tmp_path / "link")) == ([], [str(tmp_path / "link")])


def test_accounts_are_asked_about_if_a_file_was_not_read(tmp_path, monkeypatch):
    """What is in it may be a Match for one of them."""
    asked = []

    def sshd(*words, **more):
        asked.append(words)
        return subprocess.CompletedProcess(words, 0, "permitrootlogin no\n", "")

    monkeypatch.setattr(effect_sshd, "attempt", sshd)
    monkeypatch.setattr(effect_sshd, "CONFIG", str(tmp_path / "main"))
    monkeypatch.setattr(effect_sshd, "DEFAULTS", str(tmp_path / "defaults"))
    (tmp_path / "main").write_text("PermitRootLogin no\n")
    assert effect_sshd.settings(["permitrootlogin"], ["ada"], "")["accounts"] == {}
    (tmp_path / "main").unlink()
    (tmp_path / "main").mkdir()
    found = effect_sshd.settings(["permitrootlogin"], ["ada"], "")
    assert found["accounts"] == {"ada": {"permitrootlogin": "no"}}
    assert found["unread"] == [str(tmp_path / "main")]
    assert ("sshd", "-T", "-C", effect_sshd.context("ada")) in asked


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("SetEnv BASH_ENV=/s3cret", "BASH_ENV"),
        ('SetEnv "A=s3cret s3cret" B=s3cret', "A B"),
        ("setenv=s3cret", "?"),
        ("ForceCommand /bin/x -a=b", "/bin/x -a=b"),
    ],
)
def test_only_the_names_of_variables_are_told(tmp_path, line, told):
    path = tmp_path / "x"
    path.write_text(line + "\n")
    (found,), _ = effect_sshd.config_lines(str(path))
    assert found["value"] == told
    key, _, value = line.partition(" ")
    if value:
        shown = f"{key.lower()} {value}\n".replace('"', "")
        assert effect_sshd.values_of(shown, [key.lower()]) == {key.lower(): told}


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
    (line,), _ = effect_sshd.config_lines(str(path))
    assert (line["line"], line["value"]) == (3, "3")
    assert [entry["line"] for entry in effect_sudo.numbered(str(path))] == [3]
    assert effect_sudo.plugins("#\x85Plugin x") == []


# Lines of sudo.conf that load or run something, and those that do not: compared with sudo 1.9.13.
FOREIGN = {
    "Plugin sudoers_policy other.so": "Plugin sudoers_policy other.so",
    "Plugin sudoers_policy sudoers.so sudoers_file=/x": (
        "Plugin sudoers_policy sudoers.so sudoers_file=/x"
    ),
    "  plugin sudoers_policy /tmp/x.so": "plugin sudoers_policy /tmp/x.so",
    "PATH PLUGIN_DIR /tmp/evil/": "PATH PLUGIN_DIR /tmp/evil/",
    "Path\tplugin_dir\t/tmp/evil": "Path plugin_dir /tmp/evil",
    "Path plugin\\\n_dir /tmp/evil": "Path plugin_dir /tmp/evil",
    "Path \\\r\n  plugin_dir /tmp/evil # x": "Path plugin_dir /tmp/evil",
    "# x \\\nPath plugin_dir /tmp/evil": "Path plugin_dir /tmp/evil",
    "Path askpass /tmp/x": "Path askpass /tmp/x",
    "Path noexec /tmp/sudo_noexec.so": "Path noexec /tmp/sudo_noexec.so",
    "Path plugin_dir /usr/libexec/sudo/../../../tmp": (
        "Path plugin_dir /usr/libexec/sudo/../../../tmp"
    ),
}
USUAL = (
    *("", "# Plugin x", "#Path plugin_dir /x", "Set disable_coredump false", "set max_groups 9"),
    *("Debug sudo /var/log/sudo_debug all@debug", "Plugin sudoers_policy sudoers.so"),
    *("Plugin sudoers_io sudoers.so", "Path plugin_dir /usr/libexec/sudo/", "Pluginx y"),
    *("Path devsearch /dev/pts:/dev/vt:/dev", "Path noexec /usr/libexec/sudo/sudo_noexec.so"),
    "# x \\\nSet a b",
)


@pytest.mark.parametrize("text", FOREIGN)
def test_a_line_of_sudo_conf_that_loads_something_else_is_found(text):
    assert effect_sudo.plugins(f"Set a b\n{text}\n# end\n") == [FOREIGN[text]]


@pytest.mark.parametrize("text", USUAL)
def test_usual_lines_of_sudo_conf_are_no_finding(text):
    assert effect_sudo.plugins(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sudoers: files sss # x\n", ["sudoers: files sss"]),
        ("SUDOERS:\tsss\n", ["SUDOERS: sss"]),
        ("sudo\\\ners: ldap\n", ["sudoers: ldap"]),
        ("sudoers:  files\nSudoers: Files\npasswd: files sss\n", []),
    ],
)
def test_other_sources_of_rules_are_found(text, found):
    assert effect_sudo.sources(text) == found


def test_a_file_of_sudo_is_read_through_a_link_and_named_if_it_cannot_be(tmp_path):
    path = tmp_path / "sudo.conf"
    (tmp_path / "real").write_text("Plugin x y\n")
    path.symlink_to("real")
    assert effect_sudo.told(str(path), effect_sudo.plugins) == [f"{path}: Plugin x y"]
    (tmp_path / "real").write_text("#" * plain_text.MOST_BYTES + "\nPlugin x y\n")
    assert effect_sudo.told(str(path), effect_sudo.plugins) == [f"{path}: cannot be read"]
    path.unlink()
    assert effect_sudo.told(str(path), effect_sudo.plugins) == []


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
