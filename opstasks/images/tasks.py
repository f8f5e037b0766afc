"""`images`: the docker images of jobs (playbook: "Update docker image")."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task
from opstasks.core.formats import first_names, size_text, span_text

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.images.act import ImagesResult
    from opstasks.images.facts import ImageRow
    from opstasks.images.plan import ImagesPlan


@task(changes=False)
def ls(ctx: Context) -> None:
    """List the images for job-runner: age, size, digest, and the containers that use them.

    Example: inv -H prod images.ls
    """
    from opstasks.images import facts

    result = ctx.reader.table(
        facts.ls,
        ["image", "id", "age", "size", "digest", "in use by"],
        lambda found: map(_image_cells, found),
        nothing="no images",
    )
    ctx.seen("images", result.values, lambda found: [row.name.rpartition("/")[2] for row in found])
    ctx.finish(result)


def _image_cells(row: ImageRow) -> list[object]:
    age = span_text(time.time() - row.created_at) if row.created_at else ""
    name = row.name or row.note
    return [name, row.id, age, size_text(row.size_bytes), row.digest, first_names(row.users, 2)]


@task(
    changes=True,
    help={
        "image": Flag(
            "The last parts of images' names, with or without a tag (default: latest): ehrql:v1.",
            required=True,
        ),
        "digest": "Only this content: sha256:...; refused if the registry has another digest.",
    },
    variadic="image",
    iterable=["image"],
)
def update(ctx: Context, image: list[str], digest: str = "") -> None:
    """Update images on hosts, and remove the images that they replace.

    Pulls by digest through the registry proxy; moves names only after all content was pulled.
    Keeps an old image while a container uses it.

    Example: inv -H prod images.update ehrql:v1
    """
    from opstasks.core.errors import Refused
    from opstasks.images import act, facts, names
    from opstasks.images.plan import make_plan

    refs = list(dict.fromkeys(names.parse_ref(text) for text in image))
    if not refs:
        raise Refused("name an image", hint="inv -H prod images.update ehrql:v1")
    names.check_digest(digest)
    if digest and len(refs) > 1:
        raise Refused("--digest needs exactly one image")
    plans = ctx.fleet.gather(lambda host: make_plan(facts.inspect(host, refs), refs, digest))
    _show(ctx, plans)
    todo = ctx.to_change(plans, lambda found: found.changed)
    if not todo:
        ctx.finish(plans)
        return
    ctx.confirm(f"Update images on {', '.join(host.name for host in todo)}?")
    done = ctx.carry_out(plans, act.apply, todo)
    ctx.finish(plans.replaced(done), _result_row)


def _result_row(out: ImagesPlan | ImagesResult) -> dict[str, object]:
    """The row of a result, or of the plan for a host with nothing to do."""
    kinds = ("updated", "removed", "kept")
    return {kind: ", ".join(getattr(out, kind, ())) for kind in kinds}


def _show(ctx: Context, plans: FleetResult[ImagesPlan]) -> None:
    from opstasks.images.names import short

    rows = [
        [
            host,
            step.ref,
            step.now or "absent",
            short(step.digest),
            step.repository,
            first_names(step.users, 2),
            size_text(found.free_bytes),
        ]
        for host, found in plans.values.items()
        for step in found.steps
    ]
    headers = ["host", "image", "now", "digest", "from", "in use by", "free"]
    ctx.console.table(headers, rows)
    for host, found in plans.values.items():
        if not found.changed:
            ctx.console.say(f"{host}: nothing to do")


namespace = Collection("images", ls, update)
