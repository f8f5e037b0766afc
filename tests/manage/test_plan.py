"""Plans from facts: which steps, what is shown, what is masked, who would be locked out."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.manage import apply, lockout, show
from opstasks.manage.actions import ChangePackages, RemoveFile, SetRights
from opstasks.manage.steps import AreaSelection, ManageStep, count_by_area
from opstasks.output.documents import plain
from tests.manage.manage_help import (
    described,
    facts_of,
    key,
    plan_of,
    typed,
    write_backends,
)

RIGHTS = "/home/opensafely/secret"
PROFILE = "/etc/profile.d/opstasks.sh"
UNAME = "/etc/update-motd.d/10-uname"
KEYS = "/home/ada/.ssh/authorized_keys"


@pytest.fixture(scope="module")
def wanted():
    return described("sandbox")


@pytest.fixture
def facts(wanted):
    return copy.deepcopy(facts_of(wanted))


def shown(facts, wanted):
    return [(s.thing, s.now, s.wanted) for s in plan_of(facts, wanted).steps]


def test_a_host_as_described_needs_no_step(facts, wanted):
    assert not plan_of(facts, wanted).differs


TREE = "/srv/medium_privacy/workspaces"
LIB = "/home/opensafely/jobrunner/lib"
# One thing of every kind: the name of the step that shows it, and the change.
CHANGES = {
    RIGHTS: lambda f: f["paths"][RIGHTS].update(mode="0755"),
    "/home/opensafely/bin": lambda f: f["paths"].update({"/home/opensafely/bin": None}),
    PROFILE: lambda f: f["paths"][PROFILE].update(sha256="x"),
    UNAME: lambda f: f["paths"][UNAME].update(mode="0755"),
    "group developers": lambda f: f["groups"].update(developers=None),
    "user rosa": lambda f: f["users"]["rosa"].update(shell="/bin/sh"),
    "user levi": lambda f: f["users"]["levi"].update(expired=True),
    "levi in group docker": lambda f: f["groups"]["docker"]["members"].append("levi"),
    "rosa in group sudo": lambda f: f["groups"]["sudo"]["members"].append("rosa"),
    "rosa in group researchers": lambda f: f["groups"]["researchers"]["members"].remove("rosa"),
    "user mallory": lambda f: f["keyed"].append("mallory"),
    "package tree": lambda f: f["packages"].update(tree=False),
    "package popularity-contest": lambda f: f["packages"].update({"popularity-contest": True}),
    "/etc/login.defs: UMASK": lambda f: f["settings"].update(UMASK=["UMASK 022"]),
    f"below {TREE}": lambda f: f["trees"][TREE].update(wrong=1, examples=["x"]),
    LIB: lambda f: f["checkouts"].update({LIB: False}),
    "database network": lambda f: f["probes"].update({"database network": False}),
    "unit jobrunner": lambda f: f["units"]["jobrunner"].update(active_state="failed"),
    "unit rsync": lambda f: f["units"]["rsync"].update(file_state="enabled"),
    "a change of the login files": lambda f: f.update(is_unproven=True),
}


@pytest.mark.parametrize("thing", CHANGES)
def test_one_change_is_one_step_that_names_it(facts, wanted, thing):
    CHANGES[thing](facts)
    expected = [] if thing == "group developers" else [thing]
    found = [step.thing for step in plan_of(facts, wanted).steps]
    assert found == (expected or ["group developers", "ada in group developers"])


def test_other_accounts_in_a_group_that_is_not_exact_stay(facts, wanted):
    facts["groups"]["sudo"]["members"].append("ubuntu")
    assert not plan_of(facts, wanted).differs
    facts["groups"]["docker"]["members"].append("ubuntu")
    assert shown(facts, wanted) == [("ubuntu in group docker", "yes", "no")]


@pytest.mark.parametrize("by", ["role", "keys"])
def test_a_person_in_no_list_loses_every_group_of_a_role(facts, wanted, by):
    facts["groups"]["sudo"]["members"] += ["alice", "ubuntu"]
    if by == "role":
        facts["groups"]["developers"]["members"].append("alice")
    else:
        facts["marked"].append("alice")
    lost = [("alice in group sudo", "yes", "no"), ("alice in group developers", "yes", "no")]
    # sudo is removed first, while her role's group still identifies her: a run may be interrupted.
    assert shown(facts, wanted) == (lost if by == "role" else lost[:1])


def test_a_known_account_keeps_its_sudo(facts, wanted):
    for group in ("sudo", "developers"):
        facts["groups"][group]["members"].append("dev")
    assert shown(facts, wanted) == [("dev in group developers", "yes", "no")]


def test_the_connected_person_leaving_sudo_is_a_risk(own):
    wanted = own({"developers": ["ada"]})
    facts = facts_of(wanted, login="alice")
    facts["groups"]["sudo"]["members"].append("alice")
    facts["marked"].append("alice")
    assert risks(facts, wanted) == ["you are logged in as alice, who would leave group sudo"]


def test_a_new_account_is_created_with_its_groups(facts, wanted):
    facts["users"]["rosa"] = None
    for group in facts["groups"].values():
        group["members"] = [name for name in group["members"] if name != "rosa"]
    (step,) = plan_of(facts, wanted).steps
    assert step.action.groups == ("researchers", "reviewers", "docker")


def test_a_database_of_another_account_is_given_back(facts, wanted):
    (creation,) = wanted.creations
    facts["paths"][creation.path] = {**facts["paths"][creation.path], "owner": "root"}
    (step,) = plan_of(facts, wanted).steps
    assert (step.area, step.now, step.wanted) == (
        "database",
        "belongs to root",
        "belongs to opensafely",
    )
    assert step.action == SetRights(
        path=creation.path, owner="opensafely", group="opensafely", mode="0640"
    )


def test_a_new_group_id_changes_what_the_group_owns(facts, wanted):
    facts["groups"]["reviewers"]["gid"] = 10011
    things = [step.thing for step in plan_of(facts, wanted).steps]
    assert things == ["group reviewers", "/srv/medium_privacy", "/srv/medium_privacy/workspaces"]
    for path in things[1:]:
        facts["paths"][path]["group"] = "10010"
    assert [step.thing for step in plan_of(facts, wanted).steps] == ["group reviewers"]


def test_secret_and_once_files_are_never_rewritten(facts, wanted):
    for name in ("02_secrets.env", "04_local.env"):
        entry = facts["paths"][f"/home/opensafely/config/{name}"]
        assert "sha256" not in entry
        entry["mode"] = "0666"
    steps = plan_of(facts, wanted).steps
    assert [type(step.action) for step in steps] == [SetRights, SetRights]


def test_sudo_and_sshd_files_come_last(facts, wanted):
    facts["paths"] = dict.fromkeys(facts["paths"])
    steps = plan_of(facts, wanted).steps
    late = [step.access for step in steps]
    assert late == sorted(late)
    assert [s.thing for s in steps if s.access] == [
        "/etc/sudoers.d/opstasks-jobrunner",
        "/etc/sudoers.d/opstasks",
        "/etc/ssh/sshd_config.d/00-opstasks.conf",
    ]
    assert steps[-1].action.reload == "ssh"


def test_the_old_sshd_file_is_removed_as_an_access_step(facts, wanted):
    old = "/etc/ssh/sshd_config.d/50-opstasks.conf"
    rights = {"owner": "root", "group": "root", "mode": "0644"}
    facts["paths"][old] = {"kind": "file", **rights, "sha256": "a hash"}
    (step,) = plan_of(facts, wanted).steps
    assert (step.thing, step.now, step.wanted, step.access) == (old, "a file", "absent", True)
    assert step.action == RemoveFile(
        path=old, replaces="a hash", kept_in="/var/lib/opstasks/replaced", reload="ssh"
    )


def test_sshd_reads_our_file_first_and_keys_from_one_file(wanted):
    (file,) = [entry for entry in wanted.files if "/sshd_config.d/" in entry.path]
    assert file.path.rpartition("/")[2] < "50-cloud-init.conf"
    assert "AuthorizedKeysFile .ssh/authorized_keys" in wanted.contents[file.path].splitlines()


def test_the_own_keys_are_an_access_step(facts, wanted):
    facts["login"] = "ada"
    facts["paths"][KEYS].update(sha256="x", text=wanted.contents[KEYS] + key(9) + "\n")
    (step,) = plan_of(facts, wanted).steps
    assert step.access


def test_packages_are_only_reported_without_an_archive(facts):
    wanted = described("emis")
    facts = facts_of(wanted)
    facts["packages"]["tree"] = False
    planned = plan_of(facts, wanted)
    assert planned.differs
    assert planned.todo == ()


def test_an_upgrade_is_one_step(facts):
    from opstasks.manage.describe import describe_all
    from tests.manage.manage_help import spec

    wanted = describe_all([spec("test")], upgrade=True)["h"]
    facts = facts_of(wanted) | {"upgradable": ["a", "b"]}
    (step,) = plan_of(facts, wanted).steps
    assert (step.thing, step.action) == ("2 packages", ChangePackages(verb="upgrade"))


@pytest.mark.parametrize(("age_s", "things"), [(86399, []), (3 * 86400, ["package lists"])])
def test_old_package_lists_are_brought_up_to_date_before_an_upgrade(age_s, things):
    wanted = described("sandbox", upgrade=True)
    found = facts_of(wanted)
    found["lists_age_s"] = age_s
    steps = [step for step in plan_of(found, wanted).steps if step.area == "packages"]
    assert [step.thing for step in steps] == things
    assert [step.action for step in steps] == [ChangePackages(verb="refresh")] * len(things)


def test_only_and_skip_choose_areas(facts, wanted):
    facts["paths"] = dict.fromkeys(facts["paths"])
    every = plan_of(facts, wanted)
    for area in count_by_area(every.steps):
        only = plan_of(facts, wanted, AreaSelection(only=(area,)))
        rest = plan_of(facts, wanted, AreaSelection(skip=(area,)))
        assert set(count_by_area(only.steps)) == {area}
        assert len(only.steps) + len(rest.steps) == len(every.steps)
    with pytest.raises(Refused, match="unknown area 'x'"):
        apply.check_areas(AreaSelection(only=("x",)))


def test_a_host_that_refuses_a_content_refuses_the_plan(facts, wanted):
    path = "/etc/sudoers.d/opstasks"
    facts["paths"][path]["sha256"] = "x"
    facts["refusals"] = {path: f"{path}:3: syntax error"}
    assert plan_of(facts, wanted).refusals == (f"{path}:3: syntax error",)
    with pytest.raises(Refused, match="3: syntax error"):
        apply.refuse(plan_of(facts, wanted), "h")
    assert plan_of(facts, wanted, AreaSelection(only=("config",))).refusals == ()


@pytest.mark.parametrize(
    ("touched", "said"),
    [
        ({RIGHTS: {"who": "dev", "at": 1_789_999_990}}, "changed 2026-09-21 14:13 UTC by dev"),
        ({RIGHTS: {"who": "dev", "at": 1_789_000_000}}, "changed 2026-09-21 14:13 UTC"),
        ({RIGHTS: {"who": "dev", "at": 1_790_000_100}}, "changed 2026-09-21 14:13 UTC"),
        ({}, "changed 2026-09-21 14:13 UTC"),
    ],
)
def test_a_person_is_named_only_if_the_log_fits_the_file(facts, wanted, touched, said):
    facts["paths"][RIGHTS]["mode"] = "0777"
    facts["last_uses"] = touched
    assert plan_of(facts, wanted).steps[0].why == said


def test_plans_are_the_same_only_if_they_do_the_same(facts, wanted):
    one = plan_of(facts, wanted)
    facts["paths"][RIGHTS]["mode"] = "0777"
    other = plan_of(facts, wanted)
    assert not apply.is_same(one, other, besides=set())
    assert apply.is_same(one, other, besides={RIGHTS})


# -- locking out ---------------------------------------------------------------------------------


def risks(facts, wanted, *, by_ssh=True):
    planned = plan_of(facts, wanted)
    return list(lockout.risks(typed(facts), wanted, planned, by_ssh=by_ssh))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A small description with people, of the test's own making."""
    monkeypatch.setenv("OPSTASKS_BACKENDS", str(tmp_path))

    def make(people):
        base = {
            "groups": [{"name": "developers", "exact": True}, {"name": "sudo"}],
            "roles": [{"name": "developers", "groups": ["developers", "sudo"]}],
            "people": people,
            "files": [
                {"path": "/etc/ssh/x", "source": "x", "owner": "root", "group": "root",
                 "mode": "0644", "area": "access", "access": True}
            ],
        }  # fmt: skip
        return (
            described()
            if write_backends(
                tmp_path, own=base, files={"x": "PermitRootLogin no\n"}, keys={"ada": key(1)}
            )
            else None
        )

    return make


def test_a_plan_that_keeps_a_login_has_no_risk(own):
    wanted = own({"developers": ["ada"]})
    facts = facts_of(wanted, login="ada")
    facts["paths"]["/etc/ssh/x"] = None
    assert risks(facts, wanted) == []


def test_no_developer_with_a_key_is_a_risk(own):
    wanted = own({"developers": []})
    facts = facts_of(wanted)
    assert risks(facts, wanted) == []  # nothing is planned
    facts["paths"]["/etc/ssh/x"] = None
    assert "no listed person of developers" in risks(facts, wanted)[0]


def test_losing_the_own_group_or_keys_is_a_risk(own):
    wanted = own({"developers": ["ada"]})
    facts = facts_of(wanted, login="ops")
    facts["groups"]["developers"]["members"].append("ops")
    assert risks(facts, wanted) == ["you are logged in as ops, who would leave group developers"]
    facts = facts_of(wanted, login="ada")
    facts["groups"]["developers"]["members"].remove("ada")
    assert risks(facts, wanted) == []  # joining is no loss
    facts = facts_of(wanted, login="ada")
    facts["paths"][KEYS].update(sha256="x", text=f"{key(7)} ada\n")
    assert "none of your present keys would stay" in risks(facts, wanted)[0]
    facts["paths"][KEYS].update(text=f"{key(7)} ada\n{key(1)} here\n")
    assert risks(facts, wanted) == []


@pytest.mark.parametrize("kind", ["link", "special file", "/home/ada/.ssh: a link of somebody's"])
def test_own_keys_that_are_not_a_plain_file_are_a_risk(own, kind):
    wanted = own({"developers": ["ada"]})
    for login, count in (("ada", 1), ("ops", 0)):
        facts = facts_of(wanted, login=login)
        facts["paths"][KEYS] = {"kind": kind, "owner": "ada", "group": "ada", "mode": "0777"}
        assert len(risks(facts, wanted)) == count
    facts = facts_of(wanted, login="ada")
    facts["paths"][KEYS] = None
    assert risks(facts, wanted) == []  # none to lose


def test_an_sshd_config_that_forbids_root_is_a_risk_for_root(own):
    wanted = own({"developers": ["ada"]})
    facts = facts_of(wanted, login="root")
    facts["paths"]["/etc/ssh/x"] = None
    assert "forbids that" in risks(facts, wanted)[0]
    assert risks(facts, wanted, by_ssh=False) == []


# -- showing -------------------------------------------------------------------------------------

SECRET = "s3cr3tvalue99zzqq"
ENV = "/home/opensafely/config/03_backend.env"


def changed(path, before, after):
    return ManageStep(
        "config", path, "content differs", "as described", None, before=before, after=after
    )


def test_a_diff_shows_described_lines_and_masks_others():
    before = (
        f"BACKEND=test\nMAX_WORKERS=9\nEXTRA={SECRET}\nexport X={SECRET}\n# {SECRET}\n{SECRET}\n"
    )
    lines = show.diff(changed(ENV, before, "BACKEND=test\nMAX_WORKERS=3\n"))
    assert "-MAX_WORKERS=9" in lines
    assert "+MAX_WORKERS=3" in lines
    assert "-EXTRA=***" in lines
    assert "-export X=***" in lines
    assert SECRET not in "\n".join(lines)


@given(
    st.sampled_from(["", "export ", "#", "  "]),
    st.sampled_from(["TOKEN", "JOB_SERVER_TOKEN", "DB_PASSWORD", "api_key", "DATABASE_URL"]),
    st.text("abcXYZ0189 '\"=:/", max_size=10),
)
def test_values_with_secret_names_are_masked_in_any_file(lead, name, around):
    line = f"{lead}{name}={around}{SECRET}{around}"
    assert SECRET not in "\n".join(show.masked("/etc/profile.d/x.sh", line, "nothing"))


@given(st.text(max_size=200), st.text(max_size=50))
def test_env_files_mask_every_value_that_is_not_described(noise, lead):
    text = f"{noise}\n{lead}{SECRET}\nOTHER={SECRET}"
    assert SECRET not in "\n".join(show.masked(ENV, text, "BACKEND=test\n"))


def test_a_comment_with_an_apostrophe_hides_no_line_of_an_env_file():
    before = "# don't set HASH='x for now\nMAX_WORKERS=9\n"
    assert show.masked(ENV, before, "MAX_WORKERS=3\n")[1] == "MAX_WORKERS=9"
    assert show.masked(ENV, "", "MAX_WORKERS=3\n") == []


def test_credentials_in_an_address_are_masked():
    (line,) = show.masked("/etc/x", f"see https://me:{SECRET}@host/path", "")
    assert line == "see https://***@host/path"


def test_json_has_neither_contents_nor_actions(facts, wanted):
    facts["paths"][ENV].update(sha256="x", text=f"LEAK={SECRET}\n")
    report = show.report(plan_of(facts, wanted), with_diff=True)
    assert SECRET not in repr(report)
    fields = {"area", "thing", "now", "wanted", "why", "is_change", "is_access", "diff"}
    assert set(plain(report.steps[0])) == fields


@pytest.mark.parametrize("backend", ["tpp", "emis", "test"])
def test_a_backend_without_people_names_the_file_to_edit(backend):
    wanted = described(backend)
    with pytest.raises(Refused) as refused:
        lockout.check_described({"h": (backend, wanted)}, "backends")
    assert f"in backends/{backend}/host.yaml write `people: {{developers: [" in str(refused.value)
    assert "backends/keys/alice" in str(refused.value)
    lockout.check_described({"h": ("sandbox", described("sandbox"))}, "backends")


def test_a_description_without_roles_needs_no_people(own, tmp_path):
    lockout.check_described({"h": ("mine", own({"developers": ["ada"]}))}, "backends")
    write_backends(tmp_path, base={"groups": [{"name": "x"}]})
    lockout.check_described({"h": ("mine", described())}, "backends")


def test_a_selection_without_any_area_is_refused():
    with pytest.raises(Refused, match="leave no area"):
        apply.check_areas(AreaSelection(("system",), ("system",)))
    apply.check_areas(AreaSelection(("system", "code"), ("system",)))


def test_a_file_whose_content_cannot_be_kept_is_not_replaced_or_deleted(facts, wanted):
    path, gone = "/etc/sudoers.d/opstasks", wanted.removals[0].path
    there = {**facts["paths"][path], "sha256": "unreadable"}
    facts["paths"] |= {path: there, gone: there}
    reasons = plan_of(facts, wanted).refusals
    assert sorted(reason.split(" cannot be kept")[0] for reason in reasons) == sorted(
        f"the content of {name}" for name in (path, gone)
    )
    assert all(reason.endswith("; move it away") for reason in reasons)
