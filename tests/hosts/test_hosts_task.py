"""The task `hosts` without -H: all hosts, for this task only; and without any host."""

from pathlib import Path

import invoke
import pytest
from invoke.exceptions import Exit

from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult
from opstasks.fleet.host_settings import load
from opstasks.fleet.hosts_file import find_inventory
from opstasks.hosts import tasks
from opstasks.hosts.screen import routes_screen


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Make a run with a hosts.yaml, or without one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("OPSTASKS_HOSTS", raising=False)

    def make(text=None, **options):
        if text is not None:
            (tmp_path / "hosts.yaml").write_text(text)
        return App(RunOptions(**options))

    return make


def names(app):
    return [host.name for host in app.fleet.hosts]


def test_all_hosts_are_selected_for_one_task_only(app):
    """`hosts --check status` must not read the whole fleet."""
    made = app("hosts: {tpp: {}, emis: {}}")
    for task, expected in (("host.stats", ["local"]), ("hosts", ["tpp", "emis"])) * 2:
        with made.running(task, anywhere=True):
            if task == "hosts":
                made.choose_all()
            assert sorted(names(made)) == sorted(expected)
    assert made.options.hosts == ()


def test_selected_hosts_stay_selected(app):
    made = app("hosts: {tpp: {}, emis: {}}", hosts=("emis",))
    made.choose_all()
    assert names(made) == ["emis"]


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "there is no hosts.yaml"), ("hosts: {}", "hosts.yaml has no hosts")],
)
def test_a_check_without_hosts_names_no_flag_that_was_not_typed(app, tmp_path, text, message):
    ctx = Context(invoke.Config(), app(text))
    with pytest.raises(Refused) as caught:
        tasks.hosts.body(ctx, check=True)
    assert caught.value.message.endswith(message)
    place = f"write {tmp_path}/opstasks/" if text is None else f"add hosts to {tmp_path}/hosts.yaml"
    assert place in caught.value.hint


@pytest.mark.parametrize("text", [None, "hosts: {}"])
def test_a_list_without_hosts_says_so_also_in_a_pipe(app, text, capsys):
    try:
        tasks.hosts.body(Context(invoke.Config(), app(text)))
    except Exit as ended:
        assert not ended.code
    done = capsys.readouterr()
    where = "; there is no hosts.yaml" if text is None else " in "
    assert (done.out, done.err.partition(where)[0]) == ("", "0 hosts, 0 groups")
    assert "--check" not in done.err


def test_a_screen_without_hosts_offers_no_check_of_them():
    shown = "".join(str(line) for line in routes_screen("0 hosts", {}).closing(FleetResult()))
    assert "-H takes hosts" in shown
    assert "--check" not in shown


@pytest.mark.parametrize("config", ["", "{tmp}/settings"])
def test_the_hint_for_a_first_run_names_places_that_exist_or_are_searched(
    tmp_path, monkeypatch, config
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", config.format(tmp=tmp_path))
    monkeypatch.delenv("OPSTASKS_HOSTS", raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert find_inventory(None) is None
    place, example = load(None).no_hosts_hint().partition("or write ")[2].split(" as in ")
    path = Path(place).expanduser()
    path.parent.mkdir(parents=True)
    path.write_text(Path(example).read_text())
    assert find_inventory(None) == path
    assert "tpp" in load(path).hosts


@pytest.mark.parametrize("chosen", [("user@127.0.0.1:1",), ("user@host",)])
def test_a_host_can_be_named_without_a_file_as_the_hint_says(app, chosen):
    assert names(app(None, hosts=chosen)) == list(chosen)
