"""`jobs.mount`: a container with tools and a job's volume."""

from __future__ import annotations

import re
from collections.abc import Sequence

from opstasks.core.errors import Refused
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.model import Match
from opstasks.jobs.tools_container import image_command, refuse_without_image, run_words

PLACE = "/workspace"


def check(host: Host, match: Match, *, read_only: bool) -> None:
    """Raise Refused when the job has no volume, or the host has no tools image."""
    volume_option(match, read_only=read_only)
    (found,) = host.service.batch([image_command(host.spec)])
    refuse_without_image(host, found)


def volume_option(match: Match, *, read_only: bool) -> str:
    """The option of `docker run --mount` for a job's volume; raises Refused if it has none."""
    if not match.volume:
        raise Refused(
            f"{match.job.describe()} has no volume",
            host=match.host,
            hint=f"inv -H {match.host} jobs.ls; running jobs and jobs kept for a retry have one",
        )
    kind, where = match.volume
    if re.search(r'[,"\n]', where):
        raise Refused(f"docker cannot mount a volume named {where!r}", host=match.host)
    return f"type={kind},source={where},target={PLACE}{',readonly' if read_only else ''}"


def mount_words(
    spec: HostSpec, match: Match, name: str, words: Sequence[str], *, read_only: bool
) -> list[str]:
    """The command line of a container that runs `words` with a job's volume."""
    volume = volume_option(match, read_only=read_only)
    options = [*spec.tools_run_args, f"--mount={volume}", f"--workdir={PLACE}"]
    return run_words(spec, match, name, options, words)
