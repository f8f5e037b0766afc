"""`inv manage` on a host 100 ms away, with pyinfra and Ansible: from nothing, and already right.

Directories and files with owners and modes, by sudo. Independent checks verify that every tool
did the work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml

from bench.environment import BIN, INV, ROOT
from bench.measure import Sample, cpu_clock, end_leftovers, measure
from bench.rivals import Line, Tool
from bench.rows import Options, Row, present, tell
from bench.targets import Targets, described, through
from opstasks.sandbox import api as sandbox
from opstasks.sandbox.delay_proxy import DelayProxy

HOST = "sandbox-1"
ONE_WAY_MS = 50
NOTHING, RIGHT = "from nothing", "already right"
GOALS = {NOTHING: "9 times faster than pyinfra", RIGHT: "7 times faster than pyinfra"}


@dataclass(frozen=True)
class Work:
    """Resources below a folder: the folder, some directories, and files in them."""

    count: int

    @property
    def directories(self) -> list[str]:
        """Their names."""
        return [f"d{number}" for number in range(5 if self.count < 100 else 20)]

    @property
    def files(self) -> list[str]:
        """Their paths."""
        number = self.count - 1 - len(self.directories)
        return [f"{self.directories[i % len(self.directories)]}/f{i}" for i in range(number)]


def content(name: str) -> str:
    """The content of a file."""
    return f"# {name}\n" + "setting = value\n" * 20


def top(tool: str) -> str:
    """Where a tool makes its files."""
    return f"/opt/bench-{tool}"


def write_sources(folder: Path, work: Work) -> None:
    """The files to be copied."""
    folder.mkdir(parents=True)
    for name in work.files:
        (folder / name.replace("/", "-")).write_text(content(name))


def opstasks(made: Targets, work: Work) -> Line:
    """A description of the host; then `inv manage --yes`."""
    place = made.folder / "backends" / "bench"
    write_sources(place / "files", work)
    owned = {"owner": "root", "group": "root"}
    base = top("opstasks")
    paths = [base, *(f"{base}/{name}" for name in work.directories)]
    text = {
        "directories": [{"path": path, "mode": "0755", **owned} for path in paths],
        "files": [
            {
                "path": f"{base}/{name}",
                "source": name.replace("/", "-"),
                "mode": "0640",
                **owned,
            }
            for name in work.files
        ],
    }
    (place / "host.yaml").write_text(yaml.safe_dump(text))
    inventory = yaml.safe_load(made.inventory.read_text())
    inventory["hosts"][HOST] |= {"backend": "bench", "sudo": "nopasswd"}
    made.inventory.write_text(yaml.safe_dump(inventory))
    return [INV, "--inventory", made.inventory, "-H", HOST, "manage", "--yes"]


def pyinfra(made: Targets, work: Work) -> Line:
    """A deploy of pyinfra."""
    write_sources(made.folder / "pyinfra", work)
    base = top("pyinfra")
    deploy = made.folder / "deploy.py"
    deploy.write_text(
        "from pyinfra.operations import files\n"
        f"for name in {['', *work.directories]!r}:\n"
        f"    files.directory({base!r} + '/' + name, user='root', group='root', mode='755',"
        " _sudo=True)\n"
        f"for name in {work.files!r}:\n"
        f"    files.put({str(made.folder / 'pyinfra')!r} + '/' + name.replace('/', '-'),"
        f" {base!r} + '/' + name, user='root', group='root', mode='640', _sudo=True)\n"
    )
    return [BIN / "pyinfra", "-y", made.pyinfra, deploy]


def ansible(made: Targets, work: Work) -> Line:
    """A playbook with a loop of `file` and a loop of `copy`, with pipelining."""
    write_sources(made.folder / "ansible", work)
    base = top("Ansible")
    owned = {"owner": "root", "group": "root"}
    source = f"{made.folder}/ansible/{{{{ item | replace('/', '-') }}}}"
    tasks = [
        {
            "file": {"path": f"{base}/{{{{ item }}}}", "state": "directory", "mode": "0755"}
            | owned,
            "loop": ["", *work.directories],
        },
        {
            "copy": {"src": source, "dest": f"{base}/{{{{ item }}}}", "mode": "0640"} | owned,
            "loop": work.files,
        },
    ]
    play = [{"hosts": "all", "become": True, "gather_facts": False, "tasks": tasks}]
    (made.folder / "play.yml").write_text(yaml.safe_dump(play, sort_keys=False))
    return [BIN / "ansible-playbook", "-i", made.ansible, made.folder / "play.yml"]


def done(tool: str, work: Work) -> str:
    """Check from outside that everything is there with its modes; returns what is wrong."""
    base = top(tool)
    found = sandbox.must(HOST, ["sh", "-c", f"cd {base}; find . -printf '%M %u:%g %P\\n'"])
    wanted = {f"-rw-r----- root:root {name}" for name in work.files}
    wanted |= {f"drwxr-xr-x root:root {name}" for name in work.directories}
    lacking = wanted - set(found.splitlines())
    names = " ".join(work.files)
    text = sandbox.must(HOST, ["sh", "-c", f"cd {base}; cat {names}"])
    right = text == "".join(map(content, work.files))
    return f"{len(lacking)} resources are wrong" if lacking or not right else ""


def rows(options: Options) -> Iterator[Row]:
    """16 resources, compared with pyinfra."""
    yield from measured(16, replace(options, rounds=min(options.rounds, 3)), ("pyinfra",))


def large_rows(count: int, options: Options) -> Iterator[Row]:
    """More resources, one round, with Ansible too."""
    yield from measured(count, replace(options, rounds=1), ("pyinfra", "Ansible"))


def measured(count: int, options: Options, rivals: tuple[str, ...]) -> list[Row]:
    """Both cases, with some other tools."""
    sandbox.up(hosts=1)
    work = Work(count)
    found = {
        case: Row(f"manage, {count} resources, {case}, 100 ms", GOALS[case] if count == 16 else "")
        for case in GOALS
    }
    host = sandbox.find(HOST)
    clock = cpu_clock(host.container)
    with contextlib.ExitStack() as stack:
        where = (host.address, 22)
        proxy = stack.enter_context(DelayProxy(where, ONE_WAY_MS, delay_connect=True))
        made = stack.enter_context(described([through(host, proxy.port)]))
        tools = make_tools(made, work, ("opstasks", *rivals))
        for _ in range(options.rounds):
            for tool in present(found[NOTHING], tools, options):
                sandbox.must(HOST, ["rm", "-rf", top(tool.name)])
                for row in found.values():
                    proxy.reset()
                    sample = once(tool, made, work, clock)
                    sample.round_trips = proxy.round_trips()
                    row.samples.setdefault(tool.name, []).append(sample)
                    tell(row, tool, sample)
                sandbox.must(HOST, ["rm", "-rf", top(tool.name)])
    return list(found.values())


def make_tools(made: Targets, work: Work, names: tuple[str, ...]) -> list[Tool]:
    """The tools of a row, by name."""
    backends = (("OPSTASKS_BACKENDS", f"{made.folder}/backends"), ("PYTHONPATH", str(ROOT)))
    lines = {"opstasks": opstasks, "pyinfra": pyinfra, "Ansible": ansible}
    packages = {"pyinfra": "pyinfra", "Ansible": "ansible-core"}
    tools = []
    for name in names:
        line = lines[name](made, work)
        env = backends if name == "opstasks" else ()
        cwd = ROOT if name == "opstasks" else None
        tools.append(Tool(name, packages.get(name, ""), partial(typed, line), env=env, cwd=cwd))
    return tools


def typed(line: Line, _: Targets) -> Line:
    """A command line that does not depend on the hosts."""
    return line


def once(tool: Tool, made: Targets, work: Work, clock: Callable[[], float]) -> Sample:
    """One run, with its check."""
    sample = measure(
        tool.line(made),
        lambda _: done(tool.name, work),
        clock=clock,
        env=tool.environment(made),
        cwd=tool.cwd,
    )
    end_leftovers()
    return sample
