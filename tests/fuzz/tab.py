"""The Tab key after a hostile host has named things, or with a damaged file of what was seen.

What is offered goes through the shell to the person's terminal, and into the line that is typed.
"""

import itertools
import json
import os
import re
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from opstasks.cli.completion_shells import NOTHING, SHELL, WORD, answer
from opstasks.cli.completion_words import program_words
from opstasks.fleet import last_seen

HOSTS = "hosts: {h: {address: 192.0.2.1}}"
# A line for each kind, at whose end its values are offered.
LINES = {
    "images": "inv images.update ",
    "jobs": "inv jobs.show ",
    "keys": "inv config.set ",
    "lib_refs": "inv deploy --lib-ref ",
    "people": "inv history --who ",
    "refs": "inv -H h deploy --ref ",
    "removals": "inv outputs.attest ",
    "scheduled": "inv scheduled.cancel ",
    "users": "inv users.disable ",
    "workspaces": "inv outputs.ls ",
}
SHELLS = ("bash", "zsh", "fish")
# Nothing that a shell expands, splits or quotes, and no flag that the program does not have.
WORDS = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.:/@-]*=?)?")


@cache
def program():
    """All words of the program."""
    from opstasks.cli.program import CommandLine
    from opstasks.namespace import namespace

    return program_words(CommandLine().initial_context, namespace.to_contexts(), namespace)


@cache
def flags():
    """Every flag of the program."""
    found = program()
    return {flag for words in (found.core, *found.tasks.values()) for flag in words.flags}


@contextmanager
def machine():
    """A machine with one host, while inside; gives its hosts.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder, "hosts.yaml")
        inventory.write_text(HOSTS)
        env = {"OPSTASKS_HOSTS": str(inventory), "XDG_STATE_HOME": folder}
        with patch.dict(os.environ, env):
            yield inventory


def check_offers():
    """Whatever is offered in any shell is a plain word, with a visible description."""
    for line in LINES.values():
        for shell in SHELLS:
            offered = answer(line, {SHELL: shell, WORD: ""}, program())
            for text in offered if offered != [NOTHING] else ():
                value, tab, about = text.partition("\t")
                assert WORDS.fullmatch(value) or value in flags(), ascii(text)
                assert about.isprintable(), ascii(text)
                assert bool(tab) == (shell != "bash"), ascii(text)


def after_a_host_said(text):
    """Tab after a host has named everything so, and then described a good name so."""
    with machine() as inventory:
        seen = last_seen.Sightings()
        for kind in last_seen.KINDS:
            seen.add(kind, "h", [text, (text[1:], text), ("abcd", text)])
        seen.write(inventory)
        check_offers()


def with_file(text):
    """Tab with a file of what was seen that holds this text, or valid entries with it."""
    with machine() as inventory:
        path = last_seen.path_of(inventory)
        path.parent.mkdir(parents=True)
        entries = [[text, "h", ""], ["abcd", text, text], ["abce", text, ""], ["abcf", "h", text]]
        kinds = zip(LINES, itertools.cycle(entries), strict=False)
        path.write_text(json.dumps({kind: [entry] for kind, entry in kinds} | {text: []}))
        check_offers()
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        check_offers()
        # It can be written again.
        last = last_seen.Sightings()
        last.add("jobs", "h", ["abcd"])
        last.write(inventory)
        assert [found.value for found in last_seen.values(path, "jobs", {"h"})][:1] == ["abcd"]
