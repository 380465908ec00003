"""The legend: every colour, id and name is there, nothing is cut, and texts stand out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from madm_core import legend
from madm_core.labels import CITYSCAPES19, MADM9, MADM11, LabelSet
from madm_core.legend import WIDTH, contrast, legend_image, readable_on
from madm_core.palettes import in_palette

LONG = LabelSet(
    "own",
    ("a name of very many words that no column of the picture can hold in one line", "Fußgänger", "W" * 80, "дорога"),
    ((1, 2, 3), (200, 200, 100), (120, 120, 120), (0, 200, 0)),
)
MANY = LabelSet("many", tuple(f"class {i}" for i in range(255)), tuple((i + 1, 255 - i, 7) for i in range(255)))


@pytest.mark.parametrize(
    "label_set",
    [MADM9, MADM11, CITYSCAPES19, in_palette(CITYSCAPES19, "color_blind"), LONG, MANY],
    ids=["9", "11", "19", "19 color_blind", "long", "255"],
)
def test_every_colour_is_there_and_no_text_is_cut(label_set):
    picture = legend_image(label_set)
    assert picture.shape[1:] == (WIDTH, 3) and picture.dtype == np.uint8
    shown = set((picture.astype(int) @ (65536, 256, 1)).ravel().tolist())
    assert {red * 65536 + green * 256 + blue for red, green, blue in (*label_set.colors, (0, 0, 0))} <= shown
    edges = [picture[:4], picture[-4:], picture[:, :4], picture[:, -4:]]
    assert all((edge == picture[0, 0]).all() for edge in edges), "something runs out of the picture"


def rows_of_ink(column: np.ndarray) -> int:
    """Groups of neighbouring rows that hold dark pixels: lines of text."""
    inked = np.concatenate(([False], (column.max(axis=2) < 100).any(axis=1)))
    return int((~inked[:-1] & inked[1:]).sum())


def test_names_stand_beside_their_colours_in_lines_as_high_as_letters_of_a_book():
    picture = legend_image(LabelSet("two", ("HHHH", "H"), ((10, 200, 10), (200, 10, 10))))
    names = picture[:, 80:]
    assert rows_of_ink(names) == 3  # two classes and "no label"
    inked = (names.max(axis=2) < 100).any(axis=1)
    assert 14 <= int(inked[: len(inked) // 3].sum()) <= 20, "capital letters, in pixels of a picture 640 wide"


def test_a_long_name_is_broken_into_lines_with_all_its_letters():
    room = legend._name_room(1)
    for name in LONG.names:
        lines = legend._broken(name, room)
        assert "".join(lines).replace(" ", "") == name.replace(" ", "")
        assert all(legend._width(line) <= room for line in lines)
    assert len(legend._broken(LONG.names[0], room)) == 2
    assert len(legend._broken("W" * 80, room)) > 2


def test_letters_of_other_languages_are_drawn():
    def drawn(name: str) -> bytes:
        return legend_image(LabelSet("one", (name,), ((9, 9, 9),)))[:, 80:].tobytes()

    assert len({drawn(name) for name in ("ä", "ß", "é", "ж", "\ue000")}) == 5, "the last is a missing glyph's box"


def test_ids_can_be_read_on_any_colour():
    steps = range(0, 256, 15)
    for color in product(steps, steps, steps):
        assert contrast(color, readable_on(color)) >= 4.5
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((255, 255, 255), (118, 118, 118)) == pytest.approx(4.54, abs=0.01)  # the known limit of greys
