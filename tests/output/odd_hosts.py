"""Hosts whose answers are long and odd, for the screens of all tasks.

The tasks are real, and run in this process on the hosts of `tests/fuzz/stage.py`. An answer is a
sane one in which texts, numbers and lists are replaced: names of 100 characters, paths of 120, refs
of 80, other scripts, control characters, empty lists and long ones.
"""

import json
import random
import re
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
from msgspec import inspect as types

from opstasks.core import window
from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet.program import ProgramCommand
from opstasks.queries.progress import TableProgress
from tests.fake_host import Reply
from tests.fuzz import answers, commands, stage
from tests.programs import LISTS, OBJECTS

SHORT = "a"
LONG = "b-host-with-a-name-of-forty-characters-1"
MANY = [f"many-{number}" for number in range(1, 41)]
DEAD = ["dead-1", "dead-2"]
NETWORK = "is the host up, and the VPN?"
# What the hosts of MANY say instead of an answer.
REFUSAL = "no account opensafely"


def _marked(kind, number, length, separator):
    """A value of a length whose parts are numbered, so that a part of it can be recognised."""
    parts, text = 0, f"{kind}{number}"
    while len(text) < length:
        parts += 1
        text += f"{separator}{kind}{number}x{parts:02}"
    return text[:length].ljust(length, "z")


WORKSPACES = [_marked("w", number, 100, "-") for number in range(3)]
ACTIONS = [_marked("c", number, 60, "_") for number in range(3)]
REFS = [_marked("r", number, 80, "/") for number in range(3)]
IMAGES = [f"ghcr.io/opensafely-core/{_marked('i', number, 40, '-')}" for number in range(2)]
PATHS = ["/" + _marked("p", number, 119, "/") for number in range(4)]
PEOPLE = ["運用者の長い名前の人@ノートパソコン", _marked("u", 1, 40, "."), "o'brien@ws"]
TEXTS = [
    "",
    "x",
    "the job queue is in an impossible state, and nobody knows why it is; " * 3,
    "再起動する前にデータベースを更新しますので、しばらくお待ちください。" * 2,
    "שלום עולם \u202e abc " * 4,
    "line one\nerror  all jobs are lost\nnext:  inv -H all jobs.kill\r\x1b[2J\x07",
    "e\u0301a\u0308 👩\u200d👩\u200d👧 " * 12,
    _marked("t", 1, 150, "-"),
]
# Values that are never in two lines: a part is the whole, or is cut with a mark.
WHOLE = [*WORKSPACES, *ACTIONS, *REFS, *PATHS, PEOPLE[1], TEXTS[-1], LONG]
KINDS = (
    (re.compile(r"workspace$"), WORKSPACES),
    (re.compile(r"action$"), ACTIONS),
    (re.compile(r"^(who|user|owner|login|by)$"), PEOPLE),
    (re.compile(r"(_name|^ref|^release|^tag|version)$"), REFS),
    (re.compile(r"image$"), IMAGES),
    (re.compile(r"(path|folder|source|file|snapshot|mount|place)s?$"), PATHS),
    (re.compile(r"(reason|why|error|message|problem|detail|fault|subject|text|note)s?$"), TEXTS),
)
BIG = (0, 1, 7, 10**6, 10**15)


@dataclass
class Odd:
    """How odd answers are: the share of the values that are replaced, from 0 to 1."""

    dice: random.Random
    share: float

    def value(self, info, value, name=""):
        """A value of a type with some of its parts replaced."""
        if isinstance(info, types.UnionType):
            return self._of_union(info, value, name)
        if isinstance(info, OBJECTS) and isinstance(value, dict):
            known = {f.encode_name: f.type for f in info.fields}
            return {
                key: self.value(known[key], each, key) if key in known else each
                for key, each in value.items()
            }
        if isinstance(info, LISTS) and isinstance(value, list):
            return self._items(info, value, name)
        if isinstance(info, types.DictType) and isinstance(value, dict):
            return {key: self.value(info.value_type, each, name) for key, each in value.items()}
        if isinstance(info, types.StrType) and isinstance(value, str):
            return self._text(info, value, name)
        if isinstance(info, types.IntType) and not isinstance(value, bool):
            return self._number(info, value, name)
        return value

    def _is_replaced(self):
        return self.dice.random() < self.share

    def _of_union(self, info, value, name):
        kinds = {types.StrType: str, types.IntType: int, types.FloatType: float}
        for each in info.types:
            wanted = kinds.get(type(each), dict if isinstance(each, OBJECTS) else list)
            if isinstance(value, wanted) and not isinstance(each, types.NoneType):
                return self.value(each, value, name)
        return value

    def _items(self, info, value, name):
        found = [self.value(info.item_type, each, name) for each in value]
        if info.max_length or info.min_length or not self._is_replaced():
            return found
        # Once as many, or none: some lists have limits that the type does not tell.
        return self.dice.choice(([], found * 2, found * 6))[:40]

    def _text(self, info, value, name):
        texts = next((texts for kind, texts in KINDS if kind.search(name)), None)
        if texts is None or info.pattern or not self._is_replaced():
            return value
        new = self.dice.choice(texts)
        fits = (info.min_length or 0) <= len(new) <= (info.max_length or len(new))
        return new if fits else value

    def _number(self, info, value, name):
        if name.endswith("_at") or not self._is_replaced() or self.dice.random() < 0.5:
            return value
        new = self.dice.choice(BIG)
        return int(min(max(new, info.ge or 0), info.le or new))


@dataclass
class OddScript(stage.Script):
    """What the hosts answer: odd answers, the same ones on each run with this seed.

    `fixed` are answers of programs that belong together, in place of any sane one: values, or
    functions of the request. `plain` are replies to plain commands, by a word of their lines.
    """

    seed: str = ""
    share: float = 0.0
    fixed: dict[str, object] = field(default_factory=dict)
    plain: dict[str, Reply] = field(default_factory=dict)

    def reply(self, host, command):
        if not isinstance(command, ProgramCommand):
            return self._plain(command.line())
        name = command.module.removeprefix("opstasks.").replace(".onhost.", ".")
        if name == "onhost.several":
            return self._several(host, command)
        return self._answer(host, stage.PROGRAMS[name], command)

    def _answer(self, host, program, command):
        odd = Odd(random.Random(f"{self.seed} {host} {program.name}"), self.share)
        if made := self.fixed.get(program.name):
            return _reply(made(command.request) if callable(made) else made, [])
        count = answers.SANE
        value = answers.sane_answers(program)[(self.number + (host != SHORT)) % count]
        parts = answers.sane_parts(program)
        info = types.type_info(program.answer)
        if parts:
            part_info = types.type_info(program.part)
            parts = [odd.value(part_info, part) for part in parts]
        return _reply(odd.value(info, value), parts)

    def _plain(self, line):
        found = next((reply for word, reply in self.plain.items() if word in line), None)
        return found or Reply(out=commands.sane(line))


def _reply(value, parts):
    words = [{"part": part} for part in parts] + [{"ok": msgspec.to_builtins(value)}]
    return Reply(out="".join(json.dumps(word) + "\n" for word in words))


HOSTS = f"""
defaults:
  level3_source: /e/FILESFORL4
  level4_folder: 'D:\\x'
  backend: sandbox
  backends: {stage.BACKENDS}
hosts:
  {SHORT}: {{address: a.example}}
  {LONG}: {{address: {LONG}.example.org}}
{"".join(f"  {name}: {{address: {name}.example}}{chr(10)}" for name in [*MANY, *DEAD])}
groups:
  many: {{hosts: [{", ".join(MANY)}]}}
  dead: {{hosts: [{", ".join(DEAD)}]}}
"""


class Host(stage.StageHost):
    """A host of the stage; some do not answer, and some have no account."""

    def open_session(self, user):
        if self.name in DEAD:
            raise Unreachable("no answer from 192.0.2.10:22 in 10 s", host=self.name, hint=NETWORK)
        if self.name in MANY:
            raise Refused(REFUSAL, host=self.name, hint=f"inv -H {self.name} doctor")
        return super().open_session(user)


class Transport(stage.Transport):
    """A connection that says how the login was made."""

    def login_key(self):
        return PATHS[3]


def _tables(host, *asked):
    """The tables of a database server, which is asked without a program."""
    names = (WORKSPACES[0], "x", "研究")
    return tuple(TableProgress(name, 10**15, True) for name in names)


@contextmanager
def prepared(patch, folder):
    """While inside, `run` has these hosts."""
    patch.setattr(stage, "HOSTS", HOSTS)
    with stage.prepared(patch, folder):
        patch.setattr("opstasks.fleet.host.Host", Host)
        patch.setattr("opstasks.cli.app.App._connect", lambda app, spec: Transport())
        patch.setattr("opstasks.queries.progress.read_progress", _tables)
        yield


def run(argv, script, patch, columns):
    """Run `inv ARGV` in a window of a width, or in a pipe (0)."""
    with patch.context() as inner:
        inner.setattr(window, "size_of", lambda stream: (columns or 80, 24))
        return stage.run(argv, script, columns=columns)
