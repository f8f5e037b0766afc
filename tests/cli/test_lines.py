"""Any line is understood or refused in our words: what we let through, Invoke can parse."""

import random

import pytest

from opstasks.cli.catalogue import Catalogue
from opstasks.cli.program import CommandLine, Executor
from opstasks.namespace import namespace

CATALOGUE = Catalogue(namespace)
TASKS = sorted(CATALOGUE.shapes)
FLAGS = sorted({flag for shape in CATALOGUE.shapes.values() for flag in shape.flags})
CORE = sorted({f for arg in CommandLine(name="inv").core_args() for f in arg.names})
WORDS = ["tpp", "abc", "x y", "5", "-5", "90s", "2m", "", "-", "--", "=", "--x=", "a=b", "jobs"]
WORDS += ["stop", "-Htpp", "-n5", "-yf", "--ref=--json", "--lines=3", "--since=2h"]
# The beginnings of what Invoke and Python say.
FOREIGN = ("No idea", "Flag <", "invalid literal", "could not convert", "Can't", "Saw")
SEEDS = 400


class _Started(Exception):
    """The tasks would start now."""


class _Parsed(CommandLine):
    """The program up to the start of the tasks; a refusal is kept."""

    refused = None

    def execute(self):
        raise _Started

    def _fail(self, error):
        self.refused = error
        super()._fail(error)


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    (tmp_path / "hosts.yaml").write_text("hosts: {tpp: {}, emis: {}}")
    monkeypatch.setenv("OPSTASKS_HOSTS", str(tmp_path / "hosts.yaml"))


def line_of(seed):
    """A line of words that are mostly known."""
    chance = random.Random(seed)
    core = [f"-{name}" if len(name) == 1 else f"--{name}" for name in CORE]
    kinds = [TASKS, FLAGS, core, WORDS, WORDS]
    words = [chance.choice(chance.choice(kinds)) for _ in range(chance.randint(1, 6))]
    if chance.random() < 0.7:
        words.insert(chance.randint(0, 1), chance.choice(TASKS))
    # These do something else than to run tasks, or read a file.
    skipped = ("--complete", "--debug", "-d", "--config", "-f", "--print-completion-script")
    return [word for word in words if word not in (*skipped, "--prompt-for-sudo-password")]


@pytest.mark.parametrize("start", range(0, SEEDS, 100))
def test_any_line_runs_shows_help_or_is_refused_in_our_words(fleet, capsys, start):
    for seed in range(start, start + 100):
        words = ["opstasks", *line_of(seed)]
        program = _Parsed(
            name="opstasks", binary="opstasks", namespace=namespace, executor_class=Executor
        )
        try:
            program.run(words)
        except _Started:
            continue
        except SystemExit as end:
            assert end.code in (None, 0, 2), words
        said = capsys.readouterr().err
        assert bool(said) == (program.refused is not None), words
        if program.refused:
            assert not program.refused.message.startswith(FOREIGN), words
            assert program.refused.hint, words
