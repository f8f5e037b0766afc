"""Whether a document of `--json` is as docs/json.md promises."""

import functools
import json

from opstasks.core.result import OUTCOMES
from opstasks.json_values import VALUES
from scripts.json_shape import problems, resolved

ERROR_FIELDS = {"message", "host", "command", "tail", "hint", "outcome", "now"}


def check(task, document):
    """Fail if a document of a task is not as promised."""
    assert document["version"] == 1
    assert isinstance(document["exit_code"], int)
    if "error" in document:
        assert document["error"].keys() <= ERROR_FIELDS
    for host, item in document.get("hosts", {}).items():
        assert item["outcome"] in OUTCOMES
        assert item.keys() <= {"outcome", "elapsed_s", "value", "error"}
        if "error" in item:
            assert item["error"].keys() <= ERROR_FIELDS
        if "value" in item and task in VALUES:
            wrong = [list(problems(kind, item["value"], host)) for kind in kinds_of(task)]
            assert [] in wrong, f"{task}: {min(wrong, key=len)}"


@functools.cache
def kinds_of(task):
    """The types of a task's values."""
    return [resolved(name) for name in VALUES[task]]


@functools.cache
def task_names():
    """The task for each name that a person may type."""
    from opstasks.namespace import namespace

    contexts = namespace.to_contexts()
    return {str(name): c.name for c in contexts for name in (c.name, *c.aliases)}


def check_run(argv, output):
    """Check the document of a command line with --json and one task."""
    if "--json" not in argv or any(word.startswith("--fields") for word in argv):
        return
    tasks = [task_names()[word] for word in argv if word in task_names()]
    try:
        document = json.loads(output)
    except ValueError:
        return
    if len(tasks) == 1 and isinstance(document, dict):
        check(tasks[0], document)
