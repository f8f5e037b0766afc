"""What tasks see on real hosts is offered by Tab afterwards."""

import pytest

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]


@pytest.fixture(scope="module")
def seen(inv, managed):
    """The id of a job that ran, after each task that shows something has been used once."""
    (job,) = managed.submit("sandbox-1", "quick", "study-c")
    for words in (
        "jobs.ls --all",
        "config.show",
        "deploy.pending",
        "images.ls",
        "history",
        "prepare-reboot --delay 4h --reason test --yes",
        "scheduled",
    ):
        done = inv("-H", "sandbox-1", *words.split())
        assert done.returncode == 0, f"{words}: {done.stderr}"
    yield job
    inv("-H", "sandbox-1", "scheduled.cancel", "--yes")


@pytest.fixture(scope="module")
def offered(inv, sandbox_dir):
    """The words that Tab offers at the end of a line."""

    def values(line):
        typed = f"inv --inventory {sandbox_dir}/hosts.yaml {line}"
        done = inv("--complete", "--", typed, env={"OPSTASKS_COMPLETE": "zsh"})
        assert (done.returncode, done.stderr) == (0, "")
        return dict(row.split("\t", 1) for row in done.stdout.splitlines())

    return values


def test_jobs_are_offered_with_what_they_are(seen, offered):
    assert offered("jobs.show ")[seen].startswith("study-c-quick ")
    assert f"--job={seen}" in offered("-H sandbox-1 jobs.logs --job=")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("jobs.ls --workspace ", "study-c"),
        ("config.set ", "MAX_WORKERS="),
        ("deploy --ref ", "v2.71.0"),
        ("images.update ", "python:latest"),
        ("history --who ", "root@"),
    ],
)
def test_names_that_were_seen_are_offered(seen, offered, line, value):
    assert any(word.startswith(value) for word in offered(line)), offered(line)


def test_scheduled_work_is_offered_by_its_id(seen, offered):
    ((_, about),) = offered("scheduled.cancel ").items()
    assert "prepare" in about or "scheduled" in about
