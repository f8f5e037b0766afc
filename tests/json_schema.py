"""Whether a document of `--json` is as docs/json.md promises."""

import functools
import json

from opstasks.cli.json_values import resolved, type_name
from opstasks.core.result import OUTCOMES
from scripts.json_shape import problems

ERROR_FIELDS = {"message", "host", "command", "tail", "hint", "outcome", "now"}


def check(task, document, words=()):
    """Fail if a document of a task, which was typed with these words, is not as promised."""
    assert document["version"] == 1
    assert isinstance(document["exit_code"], int)
    if "error" in document:
        assert document["error"].keys() <= ERROR_FIELDS
    for host, item in document.get("hosts", {}).items():
        assert item["outcome"] in OUTCOMES
        assert item.keys() <= {"outcome", "elapsed_s", "value", "error"}
        if "error" in item:
            assert item["error"].keys() <= ERROR_FIELDS
        if "value" in item:
            kind = resolved(type_name(task, words))
            assert list(problems(kind, item["value"], host)) == [], f"{task} {words}"


@functools.cache
def task_names():
    """The task for each name that a person may type."""
    from opstasks.namespace import namespace

    contexts = namespace.to_contexts()
    return {str(name): c.name for c in contexts for name in (c.name, *c.aliases)}


def task_of(words):
    """The task in a line, and its words up to the dashes."""
    own = list(words)[: words.index("--")] if "--" in words else list(words)
    return next((task_names()[word] for word in own if word in task_names()), ""), own


def check_run(argv, output):
    """Check the document of a command line with --json."""
    if "--json" not in argv or any(word.startswith("--fields") for word in argv):
        return
    task, own = task_of(argv)
    try:
        document = json.loads(output)
    except ValueError:
        return
    if task and isinstance(document, dict):
        check(task, document, own)
