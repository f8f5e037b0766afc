"""The screens of `jobs.stats` and `host.stats`: use next to its limit, with units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, size_text
from opstasks.core.hints import one_word
from opstasks.core.result import FleetResult
from opstasks.jobs.disks import FULL_PERCENT
from opstasks.jobs.host_stats import DiskUse, DockerUse, HostUse, ProcessUse
from opstasks.jobs.model import Job
from opstasks.jobs.short_ids import JobScreen
from opstasks.jobs.stats import JobUse
from opstasks.jobs.words import MUCH_PERCENT, bytes_text, percent_part
from opstasks.output.notes import Note, note_lines
from opstasks.output.parts import Line, bold, odd
from opstasks.output.screens import Screen, no_answer
from opstasks.output.table import Column

JobUses = Sequence[JobUse]
JOB_COLUMNS = (
    Column("HOST"),
    Column("JOB"),
    Column("WORKSPACE / ACTION", long="clip", least=18),
    Column("CPU CORES"),
    Column("MEMORY", is_right=True),
    Column("USED", rank=1, is_right=True),
    Column("LIMIT", rank=2, is_right=True),
    Column("READ/S", rank=3, is_right=True),
    Column("WRITTEN/S", rank=3, is_right=True),
    Column("READ", rank=4, is_right=True),
    Column("WRITTEN", rank=4, is_right=True),
    Column("PROCESSES", rank=5, is_right=True),
)
HOST_COLUMNS = (
    Column("HOST"),
    Column("LOAD 1 5 15 MIN"),
    Column("CPU CORES", rank=1, is_right=True),
    Column("MEMORY", is_right=True),
    Column("SWAP", rank=2, is_right=True),
    Column("DISK", is_right=True),
)
DISK_COLUMNS = (
    Column("HOST"),
    Column("USED", is_right=True),
    Column("FREE", is_right=True),
    Column("SIZE", rank=2, is_right=True),
    Column("INODES", rank=3, is_right=True),
)
DOCKER_COLUMNS = (
    Column("HOST"),
    Column("DOCKER"),
    Column("COUNT", is_right=True),
    Column("SIZE", is_right=True),
    Column("RECLAIMABLE", is_right=True),
)
PROCESS_COLUMNS = (
    Column("HOST"),
    Column("CPU CORES", is_right=True),
    Column("MEMORY", is_right=True),
    Column("PROCESS", long="clip"),
    Column("USER", rank=1, long="clip"),
    Column("PID", rank=2, is_right=True),
)


def cores_text(used: float, limit: float | None = None) -> str:
    """``0.50 of 2``, for a column of processor cores; ``0.50`` without a limit."""
    return f"{used:.2f} of {limit:g}" if limit else f"{used:.2f}"


# -- jobs --------------------------------------------------------------------------------------


def jobs_screen(clock: Callable[[], Clock], *, whole_ids: bool = False) -> Screen[JobUses]:
    """One row for each running job; `whole_ids` for a pipe and for --wide."""

    def headline(result: FleetResult[JobUses]) -> Line:
        count = sum(map(len, result.values.values()))
        if not count:
            return ()
        return [f"{clock().now_text}, ", bold(f"{plural(count, 'job')} running")]

    return JobScreen(
        JOB_COLUMNS,
        lambda host, uses: [job_row(host, use) for use in uses],
        headline=headline,
        nothing=lambda result: f"no job is running on {plural(len(result.values), 'host')}",
        ids=lambda uses: [use.id for use in uses],
        jobs_of=lambda uses: [Job(use.id, use.workspace, use.action, "running") for use in uses],
        whole_ids=whole_ids,
    )


def job_row(host: str, use: JobUse) -> list[object]:
    """The row of a job."""
    limit_bytes = use.memory_limit_bytes
    return [
        host,
        use.id,
        f"{use.workspace} / {use.action}",
        cores_text(use.cpu_cores, use.cpu_limit_cores),
        size_text(use.memory_bytes),
        percent_part(100 * use.memory_bytes / limit_bytes, MUCH_PERCENT) if limit_bytes else "",
        size_text(limit_bytes) if limit_bytes else "none",
        size_text(use.read_bytes_per_s),
        size_text(use.written_bytes_per_s),
        size_text(use.read_bytes),
        size_text(use.written_bytes),
        use.pids,
    ]


# -- hosts -------------------------------------------------------------------------------------


def host_screen(clock: Callable[[], Clock], width: int) -> Screen[HostUse]:
    """One row for each host; below it, tables of disks, of docker and of processes."""

    def closing(result: FleetResult[HostUse]) -> list[Line]:
        slow = [host for host, use in result.values.items() if use.docker is None]
        return note_lines([_silent_docker(host) for host in slow], width)

    return Screen(
        HOST_COLUMNS,
        lambda host, use: [host_row(host, use)],
        failed=no_answer,
        headline=lambda result: [clock().now_text],
        tables=_tables,
        closing=closing,
    )


def _silent_docker(host: str) -> Note:
    look = ("look", f"inv -H {one_word(host)} doctor")
    text = odd("docker did not say in time how much room it uses")
    return Note(bold(host), text, (look,))


def _tables(
    result: FleetResult[HostUse],
) -> Iterable[tuple[Sequence[Column], list[list[object]]]]:
    found = result.values.items()
    places = [place for _, use in found for disk in use.disks for place in disk.places]
    # No narrower than the longest path, so that none is broken.
    folders = Column("DISK OF", long="wrap", least=max(map(len, places), default=0))
    return [
        (
            (*DISK_COLUMNS, folders),
            [disk_row(host, disk) for host, use in found for disk in use.disks],
        ),
        (
            DOCKER_COLUMNS,
            [docker_row(host, item) for host, use in found for item in use.docker or ()],
        ),
        (PROCESS_COLUMNS, [process_row(host, one) for host, use in found for one in use.processes]),
    ]


def host_row(host: str, use: HostUse) -> list[object]:
    """The row of a host; its disk is the fullest one, as in `status`."""
    swap = bytes_text(use.swap_used_bytes, use.swap_bytes) if use.swap_bytes else "none"
    fullest = max((disk.used_percent for disk in use.disks), default=None)
    return [
        host,
        " ".join(f"{load:.2f}" for load in use.load),
        use.cpus,
        bytes_text(use.memory_used_bytes, use.memory_bytes),
        swap,
        "" if fullest is None else percent_part(fullest, FULL_PERCENT),
    ]


def disk_row(host: str, disk: DiskUse) -> list[object]:
    """The row of a disk, with the folders that are on it."""
    return [
        host,
        percent_part(disk.used_percent, FULL_PERCENT),
        size_text(disk.free_bytes),
        size_text(disk.size_bytes),
        percent_part(disk.inodes_percent, FULL_PERCENT),
        " ".join(disk.places),
    ]


def docker_row(host: str, item: DockerUse) -> list[object]:
    """The row of a kind of object."""
    sizes = size_text(item.size_bytes), size_text(item.reclaimable_bytes)
    return [host, item.kind, item.count, *sizes]


def process_row(host: str, use: ProcessUse) -> list[object]:
    """The row of a process."""
    return [
        host,
        cores_text(use.cpu_cores),
        size_text(use.memory_bytes),
        use.name,
        use.user,
        use.pid,
    ]
