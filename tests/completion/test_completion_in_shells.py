"""Tab in real shells: bash, zsh and fish, in a terminal, for each name of the program."""

import pytest

from opstasks.fleet import last_seen
from tests.completion.shell import BIN, ROOT, Shell

HOSTS = """
groups: {prod: {hosts: [tpp, emis]}}
hosts:
  tpp: {address: 192.0.2.1}
  emis: {address: 192.0.2.2}
  test: {address: 192.0.2.3}
"""
KILL, SHOW = "ovlotu5a2b3c4d5e", "mhc4pv5a2b3c4d5e"
SEEN = {
    "images": ["ehrql:v1", "python:latest"],
    "jobs": [(KILL, "study-b-extract running"), (SHOW, "test-longer running")],
    "keys": ["MAX_WORKERS"],
    "lib_refs": ["v2.9"],
    "people": ["rosa@laptop"],
    "refs": ["v2.73.0"],
    "removals": ["3f9a1c-01"],
    "scheduled": ["20261201T091500-4f2a9c"],
    "users": ["rosa"],
    "workspaces": ["study-b"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A home folder with an inventory, a memory and a key file."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "hosts.yaml").write_text(HOSTS)
    (folder / "operator.key").write_text("")
    found = last_seen.Sightings()
    for kind, entries in SEEN.items():
        found.add(kind, "tpp", entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        found.write(folder / "hosts.yaml")
    return folder


def settings(folder):
    return {
        "OPSTASKS_HOSTS": str(folder / "hosts.yaml"),
        "XDG_STATE_HOME": str(folder / "state"),
    }


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def shell(request, folder):
    home = folder / request.param
    home.mkdir()
    shell = Shell(request.param, home, settings(folder))
    yield shell
    shell.close()


@pytest.mark.parametrize("name", ["inv", "invoke", "opstasks"])
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("stat", "status "),
        (f"jobs.kill {KILL[:3]}", f"jobs.kill {KILL} "),
    ],
)
def test_each_name_of_the_program_is_completed(shell, name, typed, line):
    assert shell.completed(f"{name} {typed}") == f"{name} {line}"


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("after", "after-reboot "),
        ("--list outp", "--list outputs "),
        ("deploy --unf", "deploy --unfinished "),
        ("jobs.ls --state ru", "jobs.ls --state running "),
        ("jobs.ls --state=ru", "jobs.ls --state=running "),
        ("-H pro", "-H prod "),
        ("-H emis,tp", "-H emis,tpp "),
        ("-H 'all,!tp", "-H 'all,!tpp' "),
        (r"-H all,\!tp", r"-H all,\!tpp "),
        ("-H @fa", "-H @failed "),
        ("--hosts=emis,tp", "--hosts=emis,tpp "),
        (f"jobs.logs {SHOW[:3]}", f"jobs.logs {SHOW} "),
        (f"logs --job {SHOW[:3]}", f"logs --job {SHOW} "),
        (f"jobs.kill {SHOW} {KILL[:3]}", f"jobs.kill {SHOW} {KILL} "),
        ("deploy --ref v", "deploy --ref v2.73.0 "),
        ("images.update python:l", "images.update python:latest "),
        ("images.update ehr", "images.update ehrql:v1 "),
        ("config.set MAX", "config.set MAX_WORKERS="),
        ("outputs.rm st", "outputs.rm study-b "),
        ("scheduled.cancel 2", "scheduled.cancel 20261201T091500-4f2a9c "),
        ("history --who ro", "history --who rosa@laptop "),
        ("-i {home}/oper", "-i {home}/operator.key "),
        ("--identity={home}/oper", "--identity={home}/operator.key "),
        ("-H @{home}/oper", "-H @{home}/operator.key "),
        ("-H tpp,@{home}/oper", "-H tpp,@{home}/operator.key "),
        ("completion fi", "completion fish "),
        # nothing fits
        ("outputs.rm study-b docs/arch", "outputs.rm study-b docs/arch"),
        ("-H emis jobs.kill ov", "-H emis jobs.kill ov"),
        ("-H tpp run -- REA", "-H tpp run -- REA"),
        ("nothing-li", "nothing-li"),
    ],
)
def test_words_are_completed(shell, folder, typed, line):
    typed, line = (text.replace("{home}", str(folder)) for text in (typed, line))
    assert shell.completed(f"inv {typed}") == f"inv {line}"


def test_tab_after_a_finished_word_offers_the_values_newest_first(shell):
    text = shell.listed("inv jobs.kill ")
    assert -1 < text.index(KILL) < text.index(SHOW)
    assert "deploy" not in text


def test_zsh_and_fish_describe_what_they_offer(shell):
    text = shell.listed("inv jobs.kill ")
    assert ("study-b-extract running" in text) == (shell.name != "bash")


def test_an_assignment_before_the_name_does_not_matter(shell):
    assert shell.completed("X=1 inv stat") == "X=1 inv status "


def test_the_program_may_be_typed_with_its_folder(shell, folder):
    (folder / shell.name / "bin").symlink_to(BIN)
    assert shell.completed("~/bin/inv stat") == "~/bin/inv status "


def test_only_the_command_under_the_cursor_counts(shell):
    assert shell.completed("true; inv -H tp") == "true; inv -H tpp "


def test_a_folder_without_tasks_shows_no_error(shell, tmp_path):
    shell.run(f"cd {tmp_path}")
    try:
        assert shell.completed("inv stat") == "inv stat"
        assert shell.completed("opstasks stat") == "opstasks status "
    finally:
        shell.run(f"cd {ROOT}")


def test_tasks_of_another_project_are_completed_as_well(shell, tmp_path):
    (tmp_path / "tasks.py").write_text("import invoke\n@invoke.task\ndef brew(c): pass\n")
    shell.run(f"cd {tmp_path}")
    try:
        assert shell.completed("inv br") == "inv brew "
    finally:
        shell.run(f"cd {ROOT}")


def test_hostile_text_in_the_memory_is_not_run(shell, folder):
    path = next((folder / "state/opstasks/seen").iterdir())
    good = path.read_text()
    path.write_text(good.replace(KILL, f"$(touch {folder}/owned)").replace("rosa", "`id`;ls"))
    try:
        assert shell.completed("inv jobs.kill $") == "inv jobs.kill $"
        assert SHOW in shell.listed("inv jobs.kill ")
    finally:
        path.write_text(good)
    assert not (folder / "owned").exists()


def test_the_script_can_be_loaded_twice(shell):
    shell.run(f"source {shell.script}")
    assert shell.completed("inv stat") == "inv status "


FROM_FUNCTIONS = """mkdir ~/functions; opstasks completion zsh > ~/functions/_opstasks
fpath=(~/functions $fpath); autoload -Uz compinit; compinit -u -D"""


@pytest.mark.parametrize(
    ("name", "before", "text"),
    [
        ("zsh", "", 'eval "$(opstasks completion zsh)"'),  # without compinit
        ("zsh", FROM_FUNCTIONS, ":"),
        ("bash", "", 'eval "$(opstasks completion bash)"'),
        ("fish", "", "opstasks completion fish | source"),
    ],
)
def test_the_script_can_be_loaded_in_other_ways(folder, tmp_path, name, before, text):
    shell = Shell(name, tmp_path, settings(folder), before, text)
    assert shell.completed("inv stat") == "inv status "
    assert shell.completed("opstasks stat") == "opstasks status "
    shell.close()


@pytest.mark.parametrize(
    ("name", "before", "also"),
    [
        ("bash", "alias i=inv", "complete -F _opstasks_complete i"),
        ("zsh", "autoload -Uz compinit; compinit -u -D; alias i=inv", "compdef _opstasks i"),
        ("fish", "", "alias i=inv"),
    ],
)
def test_an_alias_is_completed_like_the_program(folder, tmp_path, name, before, also):
    shell = Shell(name, tmp_path, settings(folder), before)
    shell.run(also)
    assert shell.completed("i -H tp") == "i -H tpp "
    shell.close()
