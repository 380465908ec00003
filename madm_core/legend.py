"""The legend: which colour and id is which class, as a picture that is readable where it is shown 640 pixels wide."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from madm_core.color_vision import linear_light
from madm_core.labels import IGNORE, Color, LabelSet
from madm_core.pictures import Picture

WIDTH = 640
"""Pixels from left to right, however many classes there are."""

_FONT_SIZE, _LINE, _GAP = 22, 27, 8
_CHIP = 56
"""Width of the field with a class's colour and id."""

_MARGIN = 12
_PAPER, _BLACK, _WHITE = (250, 250, 248), (0, 0, 0), (255, 255, 255)


def legend_image(label_set: LabelSet) -> Picture:
    """A picture of all classes: a field of each one's colour with its id in it, and the name beside it.

    Entries run down the columns, of which there are as many as the names leave room for; the last entry is id 255, "no
    label". Names that are wider than the picture are broken into lines, never cut.

    Returns:
        ``(H, 640, 3)`` uint8 RGB, as high as the classes need.
    """
    entries = [*zip(label_set.names, label_set.colors, strict=True), ("no label", (0, 0, 0))]
    ids = [str(class_id) for class_id in (*label_set.ids, IGNORE)]
    longest = max(_width(name) for name, _ in entries)
    columns = next((n for n in (3, 2) if len(entries) >= 2 * n and longest <= _name_room(n)), 1)
    lines = [_broken(name, _name_room(columns)) for name, _ in entries]
    height = max(len(broken) for broken in lines) * _LINE + _GAP
    rows = -(-len(entries) // columns)
    picture = Image.new("RGB", (WIDTH, rows * height + 2 * _MARGIN - _GAP), _PAPER)
    draw = ImageDraw.Draw(picture)
    for index, ((_, color), text, broken) in enumerate(zip(entries, ids, lines, strict=True)):
        left = _MARGIN + index // rows * _column_width(columns)
        top = _MARGIN + index % rows * height
        draw.rounded_rectangle((left, top, left + _CHIP - 1, top + height - _GAP - 1), 5, fill=color, outline=_BLACK)
        middle = top + (height - _GAP) / 2
        draw.text((left + _CHIP / 2, middle), text, readable_on(color), _font(), anchor="mm")
        first = middle - (len(broken) - 1) * _LINE / 2
        for number, line in enumerate(broken):
            draw.text((left + _CHIP + 10, first + number * _LINE), line, _BLACK, _font(), anchor="lm")
    return np.asarray(picture, np.uint8)


def readable_on(color: Color) -> Color:
    """Black or white, whichever is easier to read on a colour: the contrast (WCAG 2) is at least 4.5 on any."""
    return _BLACK if contrast(color, _BLACK) >= contrast(color, _WHITE) else _WHITE


def contrast(first: Color, second: Color) -> float:
    """The contrast ratio of two sRGB colours, 1 to 21, as defined by WCAG 2."""
    darker, lighter = sorted(
        float(linear_light(np.array(color)) @ (0.2126, 0.7152, 0.0722)) for color in (first, second)
    )
    return (lighter + 0.05) / (darker + 0.05)


def _column_width(columns: int) -> int:
    return (WIDTH - 2 * _MARGIN + _GAP) // columns


def _name_room(columns: int) -> int:
    return _column_width(columns) - _CHIP - 10 - _GAP


def _width(text: str) -> float:
    return _font().getlength(text)


def _broken(name: str, room: int) -> list[str]:
    """The name in lines that fit: broken between words, and within words that are too long on their own."""
    lines = [""]
    for word in name.split():
        joined = f"{lines[-1]} {word}".lstrip()
        if _width(joined) <= room:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if _width(lines[-1] + letter) > room:
                lines.append("")
            lines[-1] += letter
    return lines


@cache
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans out of matplotlib: it has the letters of most European languages, which Pillow's own font lacks."""
    found = find_spec("matplotlib")  # found, not imported: that takes a quarter of a second
    if found is not None and found.origin is not None:
        file = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():  # distributions put matplotlib's data elsewhere
            return ImageFont.truetype(file, _FONT_SIZE)
    own = ImageFont.load_default(_FONT_SIZE)
    assert isinstance(own, ImageFont.FreeTypeFont), "Pillow is built with FreeType"
    return own
