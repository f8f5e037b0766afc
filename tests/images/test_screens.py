"""images: what a person sees, at any width, from recorded facts."""

import pytest

from opstasks.core.result import FleetResult, HostResult
from opstasks.images import screen
from opstasks.images.act import ImagesResult
from opstasks.images.facts import ImageRow
from opstasks.images.names import ImageRef
from opstasks.images.plan import ImagesPlan, ImagesStep
from opstasks.output.paragraphs import folded
from opstasks.output.table import draw
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

NOW = 1_790_000_000.0
OURS, PROXY = "ghcr.io/opensafely-core", "registry-proxy.example.org:5000/opensafely-core"
ID, OLD = "sha256:" + "ab12" * 16, "sha256:" + "cd34" * 16
ROWS = [
    ImageRow(f"{OURS}/ehrql:v1", ID, NOW - 90_000, 1 << 30, OLD, ("os-job-aaa", "b", "c")),
    ImageRow(f"{OURS}/stata-mp:latest", OLD, 0, 36 << 20, None, ()),
    ImageRow(None, "sha256:" + "0f" * 32, NOW - 400 * 86400, 7 << 20, ID, ("os-job-old",)),
    ImageRow(None, "sha256:" + "1e" * 32, NOW - 5, 7, ID, ()),
]
LISTED = FleetResult([HostResult(host, "ok", ROWS) for host in ("sandbox-1", "tpp")])
STEPS = (
    ImagesStep(ImageRef("ehrql", "v1"), f"{PROXY}/ehrql", ID, (), (OLD,), (OLD,), ("os-job-aaa",)),
    ImagesStep(ImageRef("r"), f"{PROXY}/r", OLD, (), (), (), ()),
)
PLANS = {"sandbox-1": ImagesPlan(STEPS, 40 << 30), "tpp": ImagesPlan((), 1)}


def listing(width, *, wide=False):
    return screen.images_screen(2, NOW, wide=wide).lines(LISTED, width, wide=wide)


def plan_lines(width, *, wide=False):
    table = draw(screen.STEPS, screen.plan_rows(PLANS, wide=wide), width, wide=wide)
    return folded([screen.headline(PLANS), *table.with_hint(), *screen.plan_notes(PLANS)], width)


@pytest.mark.parametrize("width", WIDTHS)
def test_images_fit_any_window_and_no_name_is_broken(width):
    lines = listing(width)
    check_fits(lines, width)
    check_whole(lines, [row.name for row in ROWS if row.name])
    if width <= 140:
        check_golden(__file__, f"ls-{width}", lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_ids_and_digests_are_whole_with_wide(width):
    check_whole(listing(width, wide=True), [ID, OLD] if width > 75 else [])


def test_ids_have_twelve_digits_as_docker_shows_them():
    line = next(line for line in shown(listing(200)) if "ehrql" in line)
    assert ("ab12ab12ab12" in line, "ab12ab12ab12a" in line) == (True, False)


def test_no_image_says_on_how_many_hosts():
    empty = FleetResult([HostResult("a", "ok", [])])
    (line,) = shown(screen.images_screen(2, NOW, wide=False).lines(empty, 200))
    assert line.startswith("no image that job-runner may use on a")


def test_the_names_for_a_pipe_are_those_that_an_update_takes():
    screen_ = screen.images_screen(2, NOW, wide=False)
    assert list(screen_.ids(ROWS)) == ["ehrql:v1", "stata-mp:latest"]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_plan_fits_any_window(width):
    lines = plan_lines(width)
    check_fits(lines, width)
    check_whole(
        lines, ["ehrql:v1", "r:latest", "ab12ab12ab12", "cd34cd34cd34", "tpp  nothing to do"]
    )
    if width <= 100:
        check_golden(__file__, f"update-{width}", lines)


def test_a_summary_says_which_content_a_name_has_now():
    done = ImagesResult(True, STEPS, ("ehrql:v1", "r:latest"), ("a",), ("b", "c"))
    assert screen.done_text(done) == (
        "ehrql:v1 is ab12ab12ab12, r:latest is cd34cd34cd34,"
        " 1 old image removed, 2 old images in use"
    )
