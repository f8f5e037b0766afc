"""Who can log in to an account: empty passwords, new and enabled accounts, sandbox samples."""

from pathlib import Path

import msgspec
import pytest

from opstasks.core.errors import Refused
from opstasks.doctor import drift
from opstasks.fleet.host_settings import load
from opstasks.manage import describe
from opstasks.manage.actions import SetUser
from opstasks.manage.apply import ManageRequest, decide, refuse
from opstasks.manage.layers import read_layer
from tests.manage.manage_help import described, facts_of, plan_of, spec, typed, write_backends

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "opstasks"


@pytest.fixture
def wanted():
    return described("sandbox")


@pytest.fixture
def facts(wanted):
    return facts_of(wanted)


# -- passwords -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ada", "levi", "opensafely"])
def test_an_empty_password_of_a_described_account_is_removed(facts, wanted, name):
    facts["open_accounts"] = [name]
    (step,) = plan_of(facts, wanted).steps
    assert (step.thing, step.now, step.wanted) == (
        f"user {name}",
        "password empty",
        "password none",
    )
    assert isinstance(step.action, SetUser)
    assert step.action.is_open
    assert not step.action.is_disabled


@pytest.mark.parametrize("name", ["root", "games", "ops", "eve"])
def test_an_empty_password_of_any_other_account_is_reported(facts, wanted, name):
    facts["open_accounts"] = [name]
    planned = plan_of(facts, wanted)
    (step,) = planned.steps
    assert step.thing == f"user {name}"
    assert "empty password" in step.now
    assert step.wanted == f"by hand: passwd --lock {name}"
    assert planned.todo == ()


def test_an_account_that_is_enabled_loses_its_old_password(facts, wanted):
    facts["users"]["rosa"]["expired"] = True
    (step,) = plan_of(facts, wanted).todo
    assert step.action.is_disabled


@pytest.mark.parametrize("uid", [0, 5, 999, 65534])
def test_a_person_with_the_name_of_a_system_account_is_refused(facts, wanted, uid):
    assert plan_of(facts, wanted).refusals == ()
    facts["users"]["rosa"]["uid"] = uid
    (reason,) = plan_of(facts, wanted).refusals
    assert reason == f"user rosa: a system account (uid {uid}); list another name"


def test_the_files_of_an_earlier_account_are_named_before_it_is_made_again(facts, wanted):
    facts["users"]["rosa"] = None
    old, *_ = plan_of(facts, wanted).todo
    assert old.why == "/home/rosa exists: inspect its files first"
    facts["paths"]["/home/rosa"] = None
    new, *_ = plan_of(facts, wanted).todo
    assert new.why == ""


def test_a_group_that_others_can_join_is_closed(facts, wanted):
    facts["groups"]["docker"]["joiners"] = ["administrator levi", "a password"]
    (step,) = plan_of(facts, wanted).steps
    assert step.now == "can be joined by administrator levi, a password"
    assert step.wanted == "by nobody"
    assert step.action.closes


# -- sample people and keys ----------------------------------------------------------------------

LAYERS = sorted(PACKAGE.rglob("host.yaml"))
KEYS = sorted(path for path in PACKAGE.rglob("backends/keys/*") if path.is_file())


def test_each_description_with_people_is_only_for_hosts_of_the_sandbox():
    with_people = []
    for path in LAYERS:
        layer = read_layer(path.parent, spec())
        if any((layer.get("people") or {}).values()):
            with_people.append(path)
            assert layer["options"]["requires"] == "/etc/sandbox", path
    assert with_people == [PACKAGE / "sandbox/backends/sandbox/host.yaml"]


def test_each_folder_with_keys_is_only_for_hosts_of_the_sandbox():
    assert {path.parents[1] for path in KEYS} == {PACKAGE / "sandbox/backends"}
    for folder in {path.parents[1] for path in KEYS}:
        for name in describe.descriptions(folder):
            layer = read_layer(folder / name, spec())
            assert layer["options"]["requires"] == "/etc/sandbox", name


@pytest.mark.parametrize("allow_lockout", [False, True])
@pytest.mark.parametrize("is_new", [False, True])
def test_the_samples_are_refused_on_a_host_outside_the_sandbox(
    facts, wanted, allow_lockout, is_new
):
    request = ManageRequest(allow_lockout=allow_lockout)
    if is_new:
        facts["users"]["ada"] = None
    refuse(decide(spec("sandbox"), typed(facts), wanted, request), "h")
    facts["paths"]["/etc/sandbox"] = None
    planned = decide(spec("sandbox"), typed(facts), wanted, request)
    with pytest.raises(Refused, match="only for hosts with /etc/sandbox"):
        refuse(planned, "h")


def test_a_requirement_is_a_plain_absolute_path(tmp_path):
    write_backends(tmp_path, own={"options": {"requires": "etc/../x"}})
    with pytest.raises(Refused, match="is not a plain absolute path"):
        described(backends=str(tmp_path))


REAL = [
    *load(ROOT / "hosts.yaml").select(["tpp,emis,test"]),
    *load(ROOT / "hosts.example.yaml").hosts.values(),
]
AD_HOC = load(ROOT / "hosts.yaml").select(["root@192.0.2.1"])


@pytest.mark.parametrize("host", [*REAL, *AD_HOC], ids=lambda host: host.name)
def test_no_host_of_ours_lists_a_person_of_the_samples(host):
    host = msgspec.structs.replace(host, backends="")
    try:
        people = describe.describe(host).listed()
    except Refused as error:
        assert "no description for backend ''" in error.message
        people = {}
    assert people == {}


def test_the_sandbox_is_no_backend_unless_its_folder_is_named():
    with pytest.raises(Refused, match="no description for backend 'sandbox' in "):
        described("sandbox", backends="")


# -- which descriptions apply --------------------------------------------------------------------


def test_the_folders_that_apply_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    own = tmp_path / "own"
    (own / "base").mkdir(parents=True)
    hosts = [spec("tpp"), spec("emis"), spec("sandbox"), spec("mine", backends=str(own))]
    assert describe.origins(hosts) == [
        f"descriptions: {own} (mine), base: opstasks/backends/base",
        "descriptions: opstasks/backends (emis, tpp), base: opstasks/backends/base",
        "descriptions: opstasks/sandbox/backends (sandbox), base: opstasks/backends/base",
    ]
    (own / "base" / "host.yaml").touch()
    assert describe.origins(hosts[3:]) == [f"descriptions: {own} (mine), base: {own}/base"]


def test_an_installed_tool_has_no_description_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "host.yaml").touch()
    monkeypatch.setattr(describe.resources, "files", lambda name: tmp_path)
    for backend in ("tpp", "base", ""):
        with pytest.raises(Refused, match="no description for backend") as refused:
            described(backend)
        assert refused.value.hint == "set `backends` in hosts.yaml to your folder of descriptions"
        assert not describe.is_described(spec(backend))
        # doctor does not call it a problem of the host.
        assert drift.described(spec(backend)) is None
    assert describe.is_described(spec("mine", backends=str(tmp_path)))
