"""`images`: the docker images of jobs (playbook: "Update docker image")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.images.plan import ImagesPlan


@task(changes=False, ids=True)
def ls(ctx: Context) -> None:
    """List job-runner's images: size, age, and the containers that use them.

    Ids and digests have twelve digits, as docker shows them; --wide shows them whole. -q prints
    names as `images.update` takes them.

    Example: inv -H prod images.ls
    """
    from opstasks.images import facts
    from opstasks.images.screen import images_screen

    screen = images_screen(len(ctx.fleet.hosts), ctx.clock.now_at, wide=ctx.options.wide)
    result = ctx.reader.screen(facts.ls, screen)
    ctx.seen("images", result.values, lambda found: [row.short_name for row in found])
    ctx.finish(result)


@task(
    changes=True,
    help={
        "image": Flag(
            "The last parts of images' names, with or without a tag (default: latest): ehrql:v1.",
            required=True,
        ),
        "digest": Flag(
            "Only this content; refused if the registry has another digest.",
            value="sha256:...",
            default="what the registry has",
        ),
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
    from opstasks.core.formats import first_names
    from opstasks.images import act, facts, names, screen
    from opstasks.images.plan import make_plan
    from opstasks.output.progress import plural
    from opstasks.output.summary import Told

    refs = list(dict.fromkeys(names.parse_ref(text) for text in image))
    if not refs:
        hint = ctx.command_text("images.update ehrql:v1")
        raise Refused("images.update: IMAGE is missing", hint=hint)
    names.check_digest(digest)
    if digest and len(refs) > 1:
        raise Refused(f"--digest is for one image, not {len(refs)}", hint="name one image")
    plans = ctx.fleet.gather(lambda host: make_plan(facts.inspect(host, refs), refs, digest))
    _show(ctx, plans)
    todo = ctx.to_change(plans, lambda found: found.changed)
    documents = plans.mapped(act.only_planned)
    if not todo:
        ctx.finish(documents)
        return
    ctx.confirm(f"Update images on {', '.join(host.name for host in todo)}?")
    shown = first_names([str(ref) for ref in refs], 3)
    told: Told[act.ImagesResult] = Told(
        host=screen.done_text,
        whole=lambda count: f"{shown} up to date on {plural(count, 'host')}",
    )
    ctx.finish(documents.replaced(ctx.carry_out(plans, act.apply, todo, told)))


def _show(ctx: Context, plans: FleetResult[ImagesPlan]) -> None:
    from opstasks.images import screen

    found = plans.values
    if line := screen.headline(found):
        ctx.console.say(*line)
    ctx.console.table(screen.STEPS, screen.plan_rows(found, wide=ctx.options.wide))
    ctx.console.say_lines(screen.plan_notes(found))


namespace = Collection("images", ls, update)
