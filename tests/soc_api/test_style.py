"""The style sheet keeps what STYLE.md promises: contrast in both themes, no colour outside the palette."""

from __future__ import annotations

import re

import pytest

from soc_api.pages.rendering import HERE

CSS = (HERE / "static" / "console.css").read_text(encoding="utf-8")
LEVELS = ("critical", "high", "medium", "low", "informational")
GROUNDS = ("ground", "panel", "hover", "accent-soft")
PAIRS = [
    *((text, ground) for text in ("ink", "quiet", "accent") for ground in GROUNDS),
    *((level, f"{level}-soft") for level in LEVELS),
    *((level, ground) for level in LEVELS for ground in ("ground", "panel")),
    ("accent-ink", "accent"),
]


def palette(selector: str) -> dict[str, str]:
    block = CSS.split(selector + " {", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [":root", ':root[data-theme="dark"]', '  :root[data-theme="auto"]'])
def test_every_text_can_be_read(theme: str) -> None:
    colours = palette(theme)
    low = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in PAIRS}
    assert {pair: round(value, 2) for pair, value in low.items() if value < 4.5} == {}


def test_dark_is_the_same_whether_chosen_or_the_devices() -> None:
    assert palette(':root[data-theme="dark"]') == palette('  :root[data-theme="auto"]')


def test_every_colour_comes_from_the_palette() -> None:
    rules = CSS.split("/* Ground */", 1)[1]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", rules) == []


def test_each_severity_has_a_shape_of_its_own() -> None:
    shapes = {level: re.search(rf"\.level\.{level}::before {{ ([^}}]+) }}", CSS) for level in LEVELS}
    drawn = {match[1] for match in shapes.values() if match is not None}
    assert len(drawn) == len(LEVELS)
