"""The documents that tasks print are as docs/json.md promises: the real tasks, with fake hosts."""

import json
from collections import defaultdict

import pytest

from opstasks.cli.catalogue import Catalogue
from opstasks.cli.json_values import VALUES, fields_of, resolved, type_name
from opstasks.cli.task import NOT_FOR_SCREENS
from opstasks.namespace import namespace
from tests import json_schema
from tests.fuzz import stage
from tests.fuzz.readers import READERS
from tests.fuzz.stage import Script

CATALOGUE = Catalogue(namespace)
# With these, --json is refused, or they choose what is shown of it.
NOT_BESIDE_JSON = {"--wide", "--quiet", "--fields", "--all-commits"}
LINES = {
    reader.name.replace(" --json", ""): reader
    for reader in READERS
    if not NOT_BESIDE_JSON & set(reader.words)
}
# Without a value on the stage: the fixture `inv` checks their documents on real hosts.
NO_VALUE = {
    *("deploy.rollback", "manage", "users.disable", "outputs.rm", "images.update", "jobs.follow"),
    # They ask no host of hosts.yaml, or a database.
    *("completion", "hosts", "shell", "db.progress"),
}
# Flags that change what is asked or done, and so the value; or that say how.
HONOURED = {
    *("action", "all", "allow-lockout", "assignment", "at", "boot-wait", "by", "check", "cleanup"),
    *("database", "delay", "digest", "diff", "drain", "every", "file", "follow", "for", "host"),
    *("hosts", "id", "image", "images", "job", "keep-paused", "key", "kill", "lib-ref", "limit"),
    *("lines", "local", "metadata", "name", "note", "only", "plan", "problems", "raw", "reason"),
    *("reboot", "ref", "release", "replace", "restart", "shell", "since", "skip", "source", "sql"),
    *("state", "table", "task", "temp-table", "timeout", "top", "unfinished", "unknown"),
    *("upgrade", "user", "wait", "watch", "who", "workspace", "close"),
}


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, stage.prepared(patch, tmp_path_factory.mktemp("s")):
        yield


def run(line, *flags, number=0, keep_going=True):
    """Type a line for the hosts of the stage; returns the run, and the words that were typed."""
    reader = LINES[line]
    own = [word for word in reader.words if word != "--json"]
    argv = [*reader.argv(*flags)[: -len(reader.words)], *own]
    if not keep_going:
        argv.remove("--keep-going")
    script = Script(number=number)
    return stage.run(argv, script), argv, script


@pytest.fixture(scope="module")
def documents(prepared):
    """Each document of each line, with several answers of the hosts, and what was typed."""
    found = defaultdict(list)
    for line in LINES:
        for flags, keep_going in (
            (["--json"], True),
            (["--json"], False),
            (["--json", "--dry"], True),
        ):
            for number in (0, 4, 8):
                done, argv, _ = run(line, *flags, number=number, keep_going=keep_going)
                found[line].append((json.loads(done.out), argv, done.code))
    return found


@pytest.mark.parametrize("line", LINES)
def test_every_document_of_a_task_is_as_promised(documents, line):
    for document, argv, code in documents[line]:
        task, words = json_schema.task_of(argv)
        assert document["exit_code"] == code
        json_schema.check(task, document, words)


def test_a_value_was_seen_of_every_task(documents):
    seen = set()
    for every in documents.values():
        for document, argv, _ in every:
            if any("value" in host for host in document.get("hosts", {}).values()):
                seen.add(json_schema.task_of(argv)[0])
    wanted = {task for task in VALUES if not task.startswith("sandbox.")}
    assert wanted - seen - NO_VALUE == set()
    assert seen & NO_VALUE == set()


def fields(task, words):
    """The fields of a task's values."""
    if task not in VALUES:
        return []
    return list(fields_of(resolved(type_name(task, words).removeprefix("list "))))


@pytest.mark.parametrize("line", [line for line in LINES if "--fold" not in line])
@pytest.mark.parametrize("flags", [["--json"], ["--json", "--dry"]], ids=" ".join)
def test_fields_keeps_some_fields_and_refuses_others(line, flags):
    task, words = json_schema.task_of([*flags, *LINES[line].words])
    known = (
        fields_of(resolved(type_name(task, words).removeprefix("list "))) if task in VALUES else {}
    )
    names = list(known or ())[:2]
    if names:
        done, _, _ = run(line, *flags, f"--fields={','.join(names)}")
        for host in json.loads(done.out).get("hosts", {}).values():
            value = host.get("value", [])
            for item in value if isinstance(value, list) else [value]:
                assert list(item) == names
    done, _, script = run(line, *flags, "--fields=nosuch")
    error = json.loads(done.out)["error"]
    assert (done.code, script.asked) == (2, [])
    assert all(name in error["message"] for name in known or ()) or task not in VALUES


@pytest.mark.parametrize("line", LINES)
def test_q_prints_ids_or_is_refused_before_a_host_is_asked(line):
    name, words = json_schema.task_of(LINES[line].words)
    done, _, script = run(line, "-q")
    has_ids = CATALOGUE.task(name).ids and not {"--diff", "--sql"} & set(words)
    if has_ids:
        assert not [text for text in done.out.split("\n") if "  " in text]
    else:
        assert (done.code, done.out, script.asked) == (2, "", [])


@pytest.mark.parametrize("name", sorted(CATALOGUE.changes))
def test_every_flag_is_honoured_or_refused_with_json(name):
    task = CATALOGUE.task(name)
    if "json" in task.ignores:
        return
    refused = {flag for flag, about in task.about.items() if "json" in about.excludes}
    flags = {str(arg.names[0]) for arg in CATALOGUE.context(name).args.values()}
    assert flags - refused - HONOURED == set()
    assert all(set(task.about[flag].excludes) >= set(NOT_FOR_SCREENS) for flag in refused)
