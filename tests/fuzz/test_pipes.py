"""Into a pipe, every task with a screen writes its rows only: a header, and a line for each row."""

import re

import pytest

from opstasks.output.screens import Screen
from tests.fuzz import stage
from tests.fuzz.readers import READERS
from tests.fuzz.stage import Script

# A title has no small letter, but a unit may follow: "CPU CORES", "FAIL24h".
HEADER = re.compile(r"[A-Z][A-Z0-9/ -]*h?(  +[A-Z][A-Z0-9/ -]*h?)*")
# The tasks that show an `opstasks.output.screens.Screen`, but those in NOT_RUN of readers.py.
TASKS = (
    *("status", "doctor", "history", "lock.show", "scheduled", "sync.status", "images.ls"),
    *("config.show", "config.check", "deploy.pending", "deploy.releases", "after-reboot"),
    *("jobs.ls", "jobs.stats", "jobs.queries", "host.stats", "outputs.ls", "outputs.pending"),
)
# Documents and ids are no screens; --sql and --watch need a terminal.
NOT_SCREENS = {"--json", "--sql", "--quiet", "--watch"}
ROWS = [r for r in READERS if r.words[0] in TASKS and not NOT_SCREENS & set(r.words)]


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as patch, stage.prepared(patch, folder):
        yield


@pytest.fixture
def shown(monkeypatch):
    """The screens that a run has shown."""
    found = []
    end = Screen.show_end

    def show_end(screen, *args, **how):
        found.append(screen)
        end(screen, *args, **how)

    monkeypatch.setattr(Screen, "show_end", show_end)
    return found


@pytest.mark.parametrize("reader", ROWS, ids=lambda reader: reader.name)
@pytest.mark.parametrize("number", range(3))
def test_a_pipe_gets_the_rows_of_a_screen_only(reader, number, shown):
    run = stage.run(reader.argv(), Script(number=number))
    assert len(shown) == 1
    titles = [column.title for column in shown[0].columns]
    tables = [text.split("\n") for text in run.out.rstrip("\n").split("\n\n") if text]
    if titles and tables:
        assert re.split(r"  +", tables[0][0]) == [t for t in titles if t in tables[0][0]]
        for header, *rows in tables:
            assert HEADER.fullmatch(header)
            first = header.split()[0]
            hosts = {"a", "b"} if first == "HOST" else {row.split()[0] for row in rows}
            assert {row.split()[0] for row in rows} <= hosts
