"""Compare what is in effect with the description: pure."""

import copy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.doctor import drift
from opstasks.fleet.inventory import HostSpec
from opstasks.manage import effect, effect_sudo, effect_units, inspect
from opstasks.manage.actions import CloneRepository, FixProbe, SetOrigin, StartUnit
from opstasks.manage.effect_facts import EffectFacts
from opstasks.manage.onhost.effect_units import UNREAD
from opstasks.manage.steps import AreaSelection
from tests.manage.effect_help import effect_of
from tests.manage.manage_help import described, facts_of, plan_of, spec, typed

UNIT = "jobrunner.service"
FRAGMENT = f"/etc/systemd/system/{UNIT}"
DROP_IN = f"{FRAGMENT}.d/zz.conf"
CODE = "/home/opensafely/jobrunner/code"
SSHD = "/etc/ssh/sshd_config.d/00-opstasks.conf"
PATHS = {"levi": "/home/levi/.ssh/authorized_keys"}


@pytest.fixture(scope="module")
def wanted():
    return described("sandbox")


@pytest.fixture
def facts(wanted):
    return copy.deepcopy(facts_of(wanted))


@pytest.mark.parametrize(
    ("sign", "account"),
    [("\n", "root"), ("\r", "root"), ("\f", "opensafely"), ("\u2028", "opensafely")],
    ids=ascii,
)
def test_a_described_unit_is_read_in_the_lines_that_systemd_reads(wanted, sign, account):
    """Checked with `systemd-analyze verify`."""
    text = f"[Service]\nUser=opensafely\nExecStart=/bin/true{sign}User=root\n"
    unit = msgspec.structs.replace(wanted, contents={FRAGMENT: text})
    assert effect_units.account(UNIT, unit) == account


def put(facts, path, value):
    """Change one value of what is in effect: ``sshd.values.permitrootlogin``."""
    *folders, last = path.split("|")
    place = facts["effect"]
    for name in folders:
        place = place[name]
    place[last] = value


def shown(facts, wanted):
    return [(step.thing, step.now, step.why) for step in plan_of(facts, wanted).steps]


def line(path="/etc/ssh/sshd_config.d/00-a.conf", key="permitrootlogin", value="yes", match=""):
    return {"path": path, "line": 7, "key": key, "value": value, "match": match}


def joins(way, name="", line="disk"):
    return {"group": "disk", "line": line, "way": way, "name": name}


def test_a_host_where_the_description_decides_has_no_difference(facts, wanted):
    assert shown(facts, wanted) == []


# What is changed, and a word of the thing, of its state and of its hint.
CASES = {
    "a drop-in": (
        f"units|{UNIT}|drop_ins",
        {DROP_IN: ["User"]},
        UNIT,
        "sets User",
        f"rm {DROP_IN}",
    ),
    "a file elsewhere": (f"units|{UNIT}|fragment", "/run/x", UNIT, "uses /run/x", "rm /run/x"),
    "a masked unit": (f"units|{UNIT}|state", "masked", UNIT, "masked", "unmask"),
    "a drop-in of docker": (
        *("units|docker.service", {"drop_ins": {DROP_IN: ["ExecStart"]}}),
        *("unit docker.service", "sets ExecStart", f"rm {DROP_IN}"),
    ),
    "another file of docker": (
        *("units|docker.socket", {"fragment": "/etc/systemd/system/docker.socket"}),
        *("unit docker.socket", "uses /etc", "rm /etc/systemd/system/docker.socket"),
    ),
    "another account": (f"units|{UNIT}|user", "root", UNIT, "runs as root", "systemctl cat"),
    "an old process": (f"units|{UNIT}|runs_as", "root", UNIT, "process runs as", "restart"),
    "nothing told": ("units", {}, UNIT, "does not tell", "systemctl status"),
    "root's login": ("sshd|values|permitrootlogin", "yes", "permitrootlogin", "yes", "default"),
    "a broken sshd": ("sshd|problem", "line 3: bad", "sshd", "line 3", "sshd -t"),
    "options of sshd": ("sshd|options", "-o X=y", "sshd", "-o X=y", "SSHD_OPTS"),
    "a program in each login": (
        *("sshd|values|forcecommand", "/x", "forcecommand", "/x", "default"),
    ),
    "a variable in each login": ("sshd|values|setenv", "BASH_ENV", "setenv", "BASH_ENV", "default"),
    "a program for files": ("sshd|values|subsystem", "sftp /x", "subsystem", "sftp /x", "default"),
    "an unread file of sshd": (
        *("sshd|unread", ["/etc/ssh/a b"], "sshd", "/etc/ssh/a b cannot be read"),
        "look at '/etc/ssh/a b'",
    ),
    "a match": ("sshd|lines", [line(match="User a")], "permitrootlogin", "Match User a", ":7"),
    "one account": (
        *("sshd|accounts", {"ada": {"permitrootlogin": "yes"}}),
        *("permitrootlogin for ada", "yes", "user=ada"),
    ),
    "a rule": ("sudo|rules", ["levi ALL = (ALL) ALL"], "sudo for levi", "levi ALL", "/etc/sudoers"),
    "no rules": ("sudo|problem", "not found", "sudo", "cannot read", "visudo"),
    "a plugin": ("sudo|plugins", ["/etc/sudo.conf: Plugin x"], "sudo", "Plugin x", "remove"),
    "a member": ("logins|groups|disk", ["levi"], "levi in group disk", "yes", "gpasswd -d levi"),
    "a member of staff": ("logins|groups|staff", ["levi"], "levi in group staff", "yes", "gpasswd"),
    "a member of gshadow": (
        *("logins|joiners", [joins("member", "eve")]),
        *("group disk", "joined by member eve of /etc/gshadow", "gpasswd -d eve disk"),
    ),
    "an administrator of a group": (
        *("logins|joiners", [joins("administrator", "eve")]),
        *("group disk", "joined by administrator eve", "gpasswd -A '' disk"),
    ),
    "a password of a group": (
        *("logins|joiners", [joins("password")]),
        *("group disk", "joined by a password", "gpasswd -R disk"),
    ),
    "a password of a group with the same id": (
        *("logins|joiners", [joins("password", line="d2")]),
        *("group d2", "has the id of disk, and can be joined by a password", "gpasswd -R d2"),
    ),
    "a second root": (
        *("logins|accounts", [{"name": "toor", "uid": 0}]),
        *("user toor", "id 0", "vipw"),
    ),
    "a shared id": (
        *("logins|accounts", [{"name": "opensafely", "uid": 10000, "twins": ["eve"]}]),
        *("user opensafely", "same id as eve", "the line of eve"),
    ),
    "a password": (
        *("logins|accounts", [{"name": "opensafely", "uid": 10000, "state": "set"}]),
        *("user opensafely", "has a password", "passwd -l"),
    ),
    "a key": (
        *("logins|accounts", [{"name": "backup", "uid": 34, "keys": ["/k"]}]),
        *("user backup", "keys in /k", "rm /k"),
    ),
    "a person's other key file": (
        *("logins|accounts", [{"name": "levi", "uid": 1005, "keys": ["/k", PATHS["levi"]]}]),
        *("user levi", "keys in /k", "rm /k"),
    ),
    "a timer of the account": ("persistence", ["/p"], "service account", "/p", "rm -r /p"),
    "a variable": ("ways", ["systemd sets X"], "root", "sets X", "unset-environment"),
    "a hook": (f"checkouts|{CODE}|hooks", ["post-merge"], CODE, "hook post-merge", "rm"),
    "no checkout told": ("checkouts", {}, CODE, "origin is not set", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_one_thing_in_effect_is_one_difference_with_a_hint(facts, wanted, name):
    path, value, thing, now, why = CASES[name]
    put(facts, path, value)
    found = shown(facts, wanted)
    assert [step for step in found if thing in step[0] and now in step[1] and why in step[2]], found
    expected = {"nothing told": 2, "no checkout told": 2}.get(name, 1)
    assert len(found) == expected, found


@pytest.mark.parametrize("name", CASES)
def test_doctor_finds_the_same(facts, wanted, name):
    path, value, thing, now, _ = CASES[name]
    put(facts, path, value)
    host = HostSpec(name="h", backend="sandbox")
    answer = Result("x", 0, msgspec.json.encode({"ok": facts["effect"]}).decode(), "")
    found = drift.judge(host, wanted, answer)
    assert not any(check.good for check in found)
    assert all(check.hint for check in found)
    assert [check for check in found if thing in check.name and now in check.text], found


# What `sshd -T` of OpenSSH 9.2 says with Debian's own sshd_config and our drop-in.
DEBIAN_12 = {
    "usepam": "yes",
    "permitrootlogin": "no",
    "ignorerhosts": "yes",
    "hostbasedauthentication": "no",
    "kerberosauthentication": "no",
    "gssapiauthentication": "no",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "strictmodes": "yes",
    "permitemptypasswords": "no",
    "forcecommand": "none",
    "chrootdirectory": "none",
    "trustedusercakeys": "none",
    "securitykeyprovider": "internal",
    "authorizedprincipalsfile": "none",
    "authorizedkeyscommand": "none",
    "authorizedprincipalscommand": "none",
    "authorizedkeysfile": ".ssh/authorized_keys",
    "authenticationmethods": "any",
    "subsystem": "sftp /usr/lib/openssh/sftp-server",
    "permituserenvironment": "no",
}
# Things in effect that are as they should be.
HARMLESS = {
    "a described key file": (
        *("logins|accounts", [{"name": "levi", "uid": 1005, "keys": [PATHS["levi"]]}]),
    ),
    "a person's password": ("logins|accounts", [{"name": "ada", "uid": 1005, "state": "set"}]),
    "root's password": ("logins|accounts", [{"name": "root", "uid": 0, "state": "set"}]),
    "a known account": (
        *("logins|accounts", [{"name": "ops", "uid": 1000, "state": "set", "keys": ["/k"]}]),
    ),
    "a known account's rule": ("sudo|rules", ["ops, dev ALL = (ALL : ALL) NOPASSWD: ALL"]),
    "rules of Debian": ("sudo|rules", ["%sudo ALL = (ALL : ALL) ALL", "Defaults env_reset"]),
    "a safe path": ("sudo|rules", ["Defaults secure_path=/usr/sbin\\:/usr/bin\\:/snap/bin"]),
    "a known member": ("logins|groups|sudo", ["ops", "ada"]),
    "a program that reads logs": ("logins|groups|adm", ["syslog"]),
    "a harmless match": ("sshd|lines", [line(value="no", match="User a")]),
    "a described match": ("sshd|lines", [line(path=SSHD, match="User a")]),
    "sshd without a feature": ("sshd|values", {}),
    "sshd of Debian 12": ("sshd|values", DEBIAN_12),
    "sshd's own sftp": ("sshd|values|subsystem", "sftp internal-sftp"),
    "docker's own unit": (
        *("units|docker.service", {"fragment": "/lib/systemd/system/docker.service"}),
    ),
    "a masked unit of docker": (
        "units|docker.socket",
        {"state": "masked", "fragment": "/etc/systemd/system/docker.socket"},
    ),
    "sshd's words": ("sshd|values|permitrootlogin", "No"),
    "a transient unit": (
        *("units|opstasks-x.service", {"fragment": "/run/systemd/transient/opstasks-x.service"}),
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_belongs_to_a_host_is_no_difference(facts, wanted, name):
    put(facts, *HARMLESS[name])
    assert shown(facts, wanted) == []


def test_the_first_line_outside_a_match_is_named(facts, wanted):
    put(facts, "sshd|values|permitrootlogin", "yes")
    other = line(path="/etc/ssh/other")
    put(facts, "sshd|lines", [line(key="port"), line(), other])
    ((thing, now, why),) = shown(facts, wanted)
    assert (thing, now) == ("sshd permitrootlogin", "yes")
    assert why == "remove /etc/ssh/sshd_config.d/00-a.conf:7: permitrootlogin yes"


def test_sshds_own_words_for_a_described_value_count(facts, wanted):
    put(facts, "sshd|values|clientaliveinterval", "5m in seconds")
    put(facts, "sshd|described", {"clientaliveinterval": "5m in seconds"})
    assert shown(facts, wanted) == []
    # The defaults of this sshd are not the required values.
    put(facts, "sshd|described", {"permituserenvironment": "yes"})
    put(facts, "sshd|values|permituserenvironment", "yes")
    assert ("sshd permituserenvironment", "yes") in [entry[:2] for entry in shown(facts, wanted)]


RULES = [
    ("levi ALL = (ALL) ALL", {"levi"}),
    ("levi, %rosa ALL = (ALL) ALL", {"levi", "%rosa"}),
    ("levi h1, h2 = (ALL) ALL", {"levi h1"}),
    ("Defaults:levi,rosa !authenticate", {"levi", "rosa"}),
    ("Defaults !authenticate", set()),
    ("Defaults@host !authenticate", set()),
]


@pytest.mark.parametrize(("rule", "users"), RULES)
def test_the_accounts_of_a_rule(rule, users):
    assert effect_sudo.users(rule) == users


@pytest.mark.parametrize(
    "rule",
    [
        "ops, levi ALL = (ALL) ALL",
        "ALL, !root ALL = (ALL) ALL",
        "Defaults !authenticate",
        "Defaults!/bin/sh !authenticate",
        "Defaults secure_path=/tmp\\:/usr/bin",
        "%ops ALL = (ALL) ALL",
        '"ops = x" ALL = (ALL) ALL',
    ],
)
def test_a_rule_for_more_than_known_accounts_is_a_difference(facts, wanted, rule):
    put(facts, "sudo|rules", [rule])
    assert [now for _, now, _ in shown(facts, wanted)] == [rule]


# -- what manage does about it -------------------------------------------------------------------


def test_a_unit_with_foreign_settings_is_not_started(facts, wanted):
    facts["units"]["jobrunner"]["active_state"] = "inactive"
    (step,) = plan_of(facts, wanted).steps
    assert isinstance(step.action, StartUnit)
    assert (step.action.fragment, step.action.user) == (FRAGMENT, "opensafely")
    put(facts, f"units|{UNIT}|drop_ins", {DROP_IN: ["User"]})
    plan = plan_of(facts, wanted)
    assert plan.todo == ()
    assert plan.refusals == (
        f"jobrunner is not started: unit jobrunner: {DROP_IN} sets User"
        " (remove it, or --skip service)",
    )
    assert plan_of(facts, wanted, AreaSelection(skip=("service",))).refusals == ()


def test_a_drop_in_of_sshd_is_shown_and_does_not_hold_up_job_runner(facts, wanted):
    facts["units"]["jobrunner"]["active_state"] = "inactive"
    put(facts, "units|ssh.service", {"drop_ins": {"/etc/systemd/system/x.conf": ["After"]}})
    plan = plan_of(facts, wanted)
    assert plan.refusals == ()
    assert [type(step.action) for step in plan.todo] == [StartUnit]
    assert "unit ssh.service" in [step.thing for step in plan.steps]


LXC = "/run/systemd/system/service.d/zzz-lxc-service.conf"


def test_only_what_lxc_adds_to_every_service_is_accepted_under_its_name(facts, wanted):
    keys = ["LoadCredential", "NoNewPrivileges", "ProcSubset", "ProtectProc"]
    put(facts, f"units|{UNIT}|drop_ins", {LXC: keys})
    put(facts, "units|ssh.service", {"drop_ins": {LXC: keys}})
    facts["units"]["jobrunner"]["active_state"] = "inactive"
    (step,) = plan_of(facts, wanted).steps
    assert LXC in step.action.drop_ins
    for foreign in ("User", UNREAD):
        put(facts, f"units|{UNIT}|drop_ins", {LXC: [*keys, foreign]})
        plan = plan_of(facts, wanted)
        assert "sets LoadCredential" in plan.refusals[0]
        assert plan.todo == ()


def test_a_probe_does_not_start_a_unit_with_foreign_settings(facts, wanted):
    facts["probes"]["database network"] = False
    assert isinstance(plan_of(facts, wanted).todo[0].action, FixProbe)
    put(facts, "units|jobrunner-network.service|drop_ins", {"/x.conf": []})
    assert plan_of(facts, wanted).todo == ()
    assert "database network is not started" in plan_of(facts, wanted).refusals[0]


def test_an_origin_is_set_back(facts, wanted):
    facts["effect"]["checkouts"][CODE]["settings"][1]["value"] = "https://evil.example/x"
    (step,) = plan_of(facts, wanted).steps
    url = "https://github.com/opensafely-core/job-runner"
    assert step.action == SetOrigin(path=CODE, url=url, owner="opensafely")
    assert step.wanted == f"origin {url}"


def test_systemd_reads_files_again_unless_that_loads_foreign_ones(facts, wanted):
    put(facts, f"units|{UNIT}|reload", value=True)
    (step,) = plan_of(facts, wanted).steps
    assert step.action.run == ("systemctl", "daemon-reload")
    put(facts, f"units|{UNIT}|drop_ins", {DROP_IN: ["User"]})
    assert plan_of(facts, wanted).todo == ()


def test_a_member_who_is_removed_is_shown_once(facts, wanted):
    facts["groups"]["docker"]["members"].append("eve")
    put(facts, "logins|groups|docker", ["eve"])
    (step,) = plan_of(facts, wanted).steps
    assert step.action is not None


def test_a_group_that_is_closed_is_shown_once(facts, wanted):
    facts["groups"]["docker"]["joiners"] = ["member eve"]
    entries = [
        joins("member", "eve") | {"group": "docker", "line": line} for line in ("docker", "d2")
    ]
    put(facts, "logins|joiners", entries)
    assert [step[:2] for step in shown(facts, wanted)] == [
        ("group docker", "can be joined by member eve"),
        ("group d2", "has the id of docker, and can be joined by member eve of /etc/gshadow"),
    ]


def test_an_account_in_no_list_is_shown_once_and_by_doctor_too(facts, wanted):
    facts["keyed"].append("eve")
    path = "/home/eve/.ssh/authorized_keys"
    put(facts, "logins|accounts", [{"name": "eve", "uid": 1009, "keys": [path]}])
    assert [entry[:2] for entry in shown(facts, wanted)] == [
        ("user eve", "can log in, but is in no list")
    ]
    found = effect.differences(typed(facts).effect, wanted, is_there=())
    assert [item.now for item in found] == [f"has keys in {path}"]


def test_what_is_not_installed_yet_is_not_judged(facts, wanted):
    for path in (FRAGMENT, SSHD, "/etc/sudoers.d/opstasks", "/etc/sudoers.d/opstasks-jobrunner"):
        facts["paths"][path] = None
    facts["checkouts"][CODE] = False
    put(facts, f"units|{UNIT}", {"state": "not-found"})
    put(facts, "sshd|values|permitrootlogin", "yes")
    put(facts, "sudo|rules", ["levi ALL = (ALL) ALL"])
    put(facts, f"checkouts|{CODE}", {"problem": "is not a folder"})
    assert all(step.action is not None for step in plan_of(facts, wanted).steps)


GIT_HOME = "/home/opensafely/.gitconfig"


@pytest.mark.parametrize(
    ("part", "value", "text"),
    [
        (
            *("settings", [{"file": GIT_HOME, "key": "url.https://evil/.insteadof"}]),
            f"{GIT_HOME} sets url.https://evil/.insteadof",
        ),
        ("extras", ["/h/.config/git/attributes"], "/h/.config/git/attributes hides or replaces"),
        ("home_problem", "cannot read it", "cannot read it"),
    ],
)
def test_nothing_is_cloned_with_settings_that_could_mislead_the_clone(
    facts, wanted, part, value, text
):
    facts["checkouts"][CODE] = False
    put(facts, f"checkouts|{CODE}", {"problem": "is not a folder"})
    assert [type(step.action) for step in plan_of(facts, wanted).steps] == [CloneRepository]
    put(facts, f"checkouts|{CODE}|{part}", value)
    plan = plan_of(facts, wanted)
    assert plan.todo == ()
    (refusal,) = plan.refusals
    assert refusal.startswith(f"{CODE} is not cloned: {text}")
    assert refusal.endswith("(correct it, or --skip code)")
    assert [step for step in plan.steps if text in step.now and step.why]


def test_an_answer_without_what_is_in_effect_is_invalid(wanted):
    answer = {**facts_of(wanted), "effect": None}
    result = Result("x", 0, msgspec.json.encode({"ok": answer}).decode(), "")
    asked = inspect.request(wanted, spec("sandbox"))
    with pytest.raises(InvalidResponse, match="nothing about what is in effect"):
        inspect.decode(result, asked, "h")


# -- any host ------------------------------------------------------------------------------------

TEXT = st.text(max_size=20)
TEXTS = st.lists(TEXT, max_size=3)
NAME = st.sampled_from([UNIT, "ssh.service", "opstasks-x.timer", "levi", "opensafely", "a"])
UNITS = st.fixed_dictionaries(
    {},
    optional={
        **{key: TEXT for key in ("state", "fragment", "user", "group", "runs_as", "command")},
        "drop_ins": st.dictionaries(TEXT, TEXTS, max_size=2),
        "reload": st.booleans(),
    },
)
KEY = st.sampled_from(["permitrootlogin", "match", "odd"])
LINES = st.fixed_dictionaries(
    {"path": TEXT, "line": st.integers(0, 9), "key": KEY, "value": TEXT, "match": TEXT}
)
ACCOUNTS = st.fixed_dictionaries(
    {"name": NAME, "uid": st.integers(0, 9), "keys": TEXTS, "twins": TEXTS}
    | {"state": st.sampled_from(["set", "locked"])}
)
JOINERS = st.fixed_dictionaries(
    {"group": TEXT, "line": TEXT, "name": TEXT}
    | {"way": st.sampled_from(["administrator", "member", "password"])}
)
EFFECTS = st.fixed_dictionaries(
    {
        "units": st.dictionaries(NAME, UNITS, max_size=3),
        "ways": TEXTS,
        "sshd": st.fixed_dictionaries(
            {
                "values": st.dictionaries(KEY, TEXT),
                "described": st.dictionaries(KEY, TEXT),
                "lines": st.lists(LINES, max_size=3),
                "accounts": st.dictionaries(NAME, st.dictionaries(KEY, TEXT)),
                "problem": TEXT,
            }
        ),
        "sudo": st.fixed_dictionaries(
            {
                "rules": TEXTS,
                "plugins": TEXTS,
                "lines": st.lists(
                    st.fixed_dictionaries({"path": TEXT, "line": st.just(1), "text": TEXT})
                ),
            }
        ),
        "logins": st.fixed_dictionaries(
            {
                "accounts": st.lists(ACCOUNTS),
                "groups": st.dictionaries(TEXT, TEXTS),
                "joiners": st.lists(JOINERS),
            }
        ),
        "persistence": TEXTS,
    }
)
WANTED = described("sandbox")
THERE = [file.path for file in WANTED.files] + [entry.path for entry in WANTED.checkouts]


@given(EFFECTS)
def test_any_answer_is_judged_without_an_error(answer):
    found = msgspec.convert(answer, EffectFacts)
    for item in effect.differences(found, WANTED, is_there=THERE):
        assert item.thing
        assert item.hint or item.action


def test_the_request_asks_for_everything_described(wanted):
    asked = effect.request(wanted)
    assert set(asked.units) >= {UNIT, "jobrunner-network.service", "ssh.service"}
    assert set(asked.units) >= {"docker.service", "docker.socket"}
    assert "passwordauthentication" in asked.sshd
    assert asked.service_accounts == ("opensafely",)
    assert {entry.home for entry in asked.checkouts} == {"/home/opensafely"}
    assert effect_of(wanted)["units"][UNIT]["user"] == "opensafely"


def test_what_comes_from_a_file_that_is_replaced_is_shown_once(facts, wanted):
    sudoers = "/etc/sudoers.d/opstasks"
    for path in (SSHD, sudoers, FRAGMENT):
        facts["paths"][path]["sha256"] = "other"
    put(facts, "sshd|values|permitrootlogin", "yes")
    put(facts, "sshd|lines", [line(path=SSHD)])
    put(facts, "sudo|rules", ["rosa ALL = (ALL) ALL"])
    put(facts, f"units|{UNIT}|reload", value=True)
    assert {thing for thing, _, _ in shown(facts, wanted)} == {SSHD, sudoers, FRAGMENT}
    # But not what comes from another file.
    put(facts, "sshd|lines", [line()])
    put(facts, "sudo|lines", [{"path": "/etc/more", "line": 1, "text": "rosa ALL=(ALL) ALL"}])
    things = {thing for thing, _, _ in shown(facts, wanted)}
    assert things == {SSHD, sudoers, FRAGMENT, "sshd permitrootlogin", "sudo for rosa"}
