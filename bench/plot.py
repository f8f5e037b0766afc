"""A plot without a library: each tool's time, relative to the best other tool, on a log scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench.rows import Row

LEFT, WIDTH, STEP, TOP = 320, 600, 26, 50
TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)
COLORS = {"opstasks": "#d6480a"}
OTHERS = (
    *("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"),
    *("#bcbd22", "#17becf", "#000", "#f5c518", "#0b6623"),
)


def across(ratio: float) -> float:
    """The position of a ratio; a ratio off the scale is at its edge."""
    low, high = math.log(TICKS[0]), math.log(TICKS[-1])
    at = (math.log(ratio) - low) / (high - low)
    return LEFT + WIDTH * min(1.0, max(0.0, at))


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Some words."""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(words)}</text>'


def draw(rows: Sequence[Row]) -> str:
    """The picture: a line for each row with other tools, a dot for each tool."""
    shown = [row for row in rows if row.best()]
    tools = list(dict.fromkeys(tool for row in shown for tool in row.samples))
    free = iter(OTHERS * 3)
    colors = {tool: COLORS.get(tool) or next(free) for tool in tools}
    bottom = TOP + STEP * len(shown)
    title = "time relative to the best other tool (left is faster)"
    parts = [text(LEFT + WIDTH / 2, 20, title, "middle")]
    for tick in TICKS:
        x = across(tick)
        shade = "#000" if tick == 1 else "#ddd"
        parts.append(f'<path d="M{x:.0f} {TOP - 8}V{bottom}" stroke="{shade}"/>')
        parts.append(text(x, TOP - 12, f"{tick:g}", "middle"))
    for number, row in enumerate(shown):
        y = TOP + STEP * number + STEP / 2
        parts.append(text(LEFT - 10, y + 4, row.name, "end"))
        for tool in sorted(row.samples, key=lambda tool: tool == "opstasks"):
            if (ratio := row.ratio(tool)) and math.isfinite(ratio):
                size = 7 if tool == "opstasks" else 4
                at = f'cx="{across(ratio):.0f}" cy="{y:.0f}"'
                parts.append(f'<circle {at} r="{size}" fill="{colors[tool]}"/>')
    for number, tool in enumerate(tools):
        x, y = LEFT - 200 + 160 * (number % 5), bottom + 24 + 20 * (number // 5)
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{colors[tool]}"/>')
        parts.append(text(x + 10, y, tool))
    area = f'width="{LEFT + WIDTH + 40}" height="{bottom + 90}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {area} font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"])
