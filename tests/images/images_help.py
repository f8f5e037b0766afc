"""Images of a sandbox host, and hosts that really run programs, for the tests of `images`."""

import contextlib
import importlib
import io
import json

import msgspec

from opstasks.core.result import Result
from opstasks.fleet.program import ProgramCommand
from opstasks.onhost import protocol
from tests.fake_host import FakeHost

# The registry in the images' names on the sandbox's hosts, and the one that these tests pull from.
SANDBOX_HOST = "sandbox-1"
SANDBOX_REGISTRY = "ghcr.io/opensafely-core"
SANDBOX_PROXY = "registry-proxy:5000/opensafely-core"


class ProgramHost(FakeHost):
    """A strict host that runs our programs in this process, with the engine of the test."""

    def answer(self, command, user):
        if not isinstance(command, ProgramCommand):
            return super().answer(command, user)
        main = importlib.import_module(command.module).main
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            protocol.run(main, json.dumps(msgspec.to_builtins(command.request)))
        return Result(command.line(), 0, out.getvalue(), "")


def push_image(sandbox, name, content, base="keep-ehrql:v1"):
    """Push a new version with one more layer to the host's registry; returns its image id."""
    tag = f"{SANDBOX_PROXY}/{name}"
    script = (
        f"c=$(docker create {base}) && printf %s '{content}' >/tmp/content"
        f" && docker cp /tmp/content $c:/content && docker commit $c {tag} >/dev/null"
        f" && docker rm $c >/dev/null && docker push -q {tag} >/dev/null"
        f" && docker inspect --format '{{{{.Id}}}}' {tag}"
        f" && docker rmi {tag} >/dev/null"
    )
    return sandbox.must(SANDBOX_HOST, ["bash", "-c", script]).splitlines()[0]


def image_id(sandbox, name):
    """The id of an image of the host; empty if it does not exist."""
    done = sandbox.exec_(SANDBOX_HOST, ["docker", "inspect", "--format", "{{.Id}}", name])
    return done.stdout.strip() if done.returncode == 0 else ""
