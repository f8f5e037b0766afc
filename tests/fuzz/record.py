"""Write what a real host answers to answers.json: `python -m tests.fuzz.record -H sandbox-1`.

It runs the lines of `LINES` on a sandbox host and keeps the answer of each program, a few for each.
"""

import json
import sys
from pathlib import Path

from invoke.exceptions import Exit

FILE = Path(__file__).with_name("answers.json")
# Larger answers make the tests slow, and test nothing new.
MOST_BYTES, MOST_ANSWERS = 20_000, 6
LINES = """
status
doctor
history
logs
logs --job JOB
lock.show
scheduled
sync.status
images.ls
config.show
config.check
deploy.pending
deploy.releases
jobs.ls
jobs.ls --all
jobs.ls --json
jobs.stats
jobs.queries
host.stats
outputs.ls
outputs.ls WORKSPACE
outputs.pending --all
jobs.show JOB
jobs.logs JOB
jobs.kill JOB --dry
manage --plan
deploy
deploy.rollback
pause --reason x
unpause
config.set MAX_WORKERS=3
config.unset MAX_WORKERS
service.restart
images.update python:v2
prepare-reboot
after-reboot
sync.start
sync.once
sync.stop
prepare-reboot --delay 4h
scheduled.cancel
"""
found: dict[str, list] = {}


def kept(command, result):
    """Keep the answer of a program, if it is new."""
    module = getattr(command, "module", "")
    lines = [line for line in result.out.split("\n") if line.startswith('{"ok"')]
    if module == "opstasks.onhost.several":
        names = [name for name, _ in command.request["programs"]]
    else:
        names = [module] if module else []
    for name, line in zip(names, lines, strict=False):
        short = name.removeprefix("opstasks.").replace(".onhost.", ".")
        answers = found.setdefault(short, [])
        answer = json.loads(line)["ok"]
        if len(line) <= MOST_BYTES and answer not in answers and len(answers) < MOST_ANSWERS:
            answers.append(answer)


def main(hosts, job, workspace):
    """Run all lines; a line that fails is reported, and the others still run."""
    from opstasks.cli.program import CommandLine, Executor
    from opstasks.fleet.session import Session
    from opstasks.namespace import namespace

    def wrapped(name):
        real = getattr(Session, name)

        def call(session, commands, *more):
            results = real(session, commands, *more)
            many = results if isinstance(results, list) else [results]
            for command, result in zip(
                commands if isinstance(commands, list | tuple) else [commands], many, strict=True
            ):
                kept(command, result)
            return results

        setattr(Session, name, call)

    for name in ("batch", "enclosed"):
        wrapped(name)
    for line in LINES.strip().split("\n"):
        words = line.replace("JOB", job).replace("WORKSPACE", workspace).split()
        program = CommandLine(
            namespace=namespace, executor_class=Executor, name="inv", binary="inv"
        )
        sys.argv = ["inv", "-H", hosts, "--yes", *words]
        try:
            program.run(sys.argv, exit=False)
        except (Exit, SystemExit) as end:
            print("ended:", line, end, file=sys.stderr)
    FILE.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
