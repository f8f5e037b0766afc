"""What `images.ls` and `images.update` show: pure, from facts to lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from opstasks.core.formats import first_names, plural, size_text, span_text
from opstasks.core.result import FleetResult
from opstasks.images.act import ImagesResult
from opstasks.images.facts import ImageRow
from opstasks.images.names import short
from opstasks.images.plan import ImagesPlan
from opstasks.output.parts import Line, Part, dim, odd
from opstasks.output.screens import Screen, for_hosts, where
from opstasks.output.table import Column

# So many hosts are named in the headline.
NAMED = 3
Plans = Mapping[str, ImagesPlan]

IMAGES = (
    Column("HOST"),
    Column("IMAGE"),
    Column("SIZE", is_right=True),
    Column("AGE", rank=1, is_right=True),
    Column("IN USE BY", rank=2, long="clip", least=14),
    Column("ID", rank=3),
    Column("DIGEST", rank=4),
)
STEPS = (
    Column("HOST"),
    Column("IMAGE"),
    Column("NOW"),
    Column("NEW"),
    Column("IN USE BY", rank=1, long="clip", least=14),
    Column("FROM", rank=2),
    Column("FREE", rank=3, is_right=True),
)


# -- images.ls ---------------------------------------------------------------------------------


def images_screen(hosts: int, now_at: float, *, wide: bool) -> Screen[list[ImageRow]]:
    """The screen of `images.ls`; with `wide`, ids and digests are whole."""
    return Screen(
        for_hosts(IMAGES, hosts),
        rows=lambda host, rows: (_cells(host, row, now_at, wide=wide) for row in rows),
        headline=_headline,
        nothing=lambda result: (
            f"no image that job-runner may use on {where(result)}; images.update NAME pulls one"
        ),
        ids=lambda rows: dict.fromkeys(row.short_name for row in rows if row.name),
    )


def _cells(host: str, row: ImageRow, now_at: float, *, wide: bool) -> list[object]:
    shown = _shown(wide=wide)
    age = span_text(now_at - row.created_at) if row.created_at else ""
    name: Part = row.name or (odd("(replaced, in use)") if row.users else dim("(replaced)"))
    users = ", ".join(row.users) if wide else first_names(row.users, 2)
    return [host, name, size_text(row.size_bytes), age, users, shown(row.id), shown(row.digest)]


def _shown(*, wide: bool) -> Callable[[str | None], str]:
    """How an id or digest is shown: as docker does, twelve digits."""
    return lambda text: (text or "") if wide else short(text or "")


def _headline(result: FleetResult[list[ImageRow]]) -> Line:
    sizes = {(host, row.id): row.size_bytes for host, rows in result.values.items() for row in rows}
    if not sizes:
        return []
    names = sum(row.name is not None for rows in result.values.values() for row in rows)
    named = f" with {plural(names, 'name')}" if names > len(sizes) else ""
    size = size_text(sum(sizes.values()))
    return [f"{plural(len(sizes), 'image')}{named} on {where(result)}, {size}"]


# -- images.update -----------------------------------------------------------------------------


def plan_rows(plans: Plans, *, wide: bool) -> list[list[object]]:
    """The row of each image of each host: the old and the new content."""
    shown = _shown(wide=wide)
    return [
        [
            host,
            str(step.ref),
            ", ".join(map(shown, step.now)) or "absent",
            shown(step.digest),
            first_names(step.users, 2),
            step.repository,
            size_text(plan.free_bytes),
        ]
        for host, plan in plans.items()
        for step in plan.steps
    ]


def headline(plans: Plans) -> Line:
    """What is about to change; nothing without a change."""
    names = [host for host, plan in plans.items() if plan.changed]
    if not names:
        return []
    images = {str(step.ref) for host in names for step in plans[host].steps}
    return [f"{first_names(names, NAMED)}: {plural(len(images), 'image')} to update"]


def plan_notes(plans: Plans) -> Iterator[Line]:
    """What a person must know before the update."""
    for host, plan in plans.items():
        if not plan.changed:
            yield [f"{host}  ", dim("nothing to do")]
    steps = [step for plan in plans.values() for step in plan.steps]
    if steps:
        uses = any(step.users for step in steps)
        yield [
            "Running jobs keep the image that they were started with. An old image is removed,"
            f" unless a container uses it{' (see IN USE BY)' if uses else ''}: there is no undo."
        ]


def done_text(done: ImagesResult) -> str:
    """What was done on a host: ``ehrql:v1 is 3f9a1c2b4d5e, 1 old image removed``."""
    parts = [f"{step.ref} is {short(step.digest)}" for step in done.steps]
    return ", ".join([*parts, *_old_text(done.removed, "removed"), *_old_text(done.kept, "in use")])


def _old_text(ids: Sequence[str], what: str) -> list[str]:
    return [f"{plural(len(ids), 'old image')} {what}"] if ids else []
