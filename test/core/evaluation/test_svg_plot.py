"""Plots are well-formed SVG, in their frame, and escape what they are given."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from madm_core.evaluation.svg_plot import SvgPlot, sparkline, ticks


@pytest.mark.parametrize(
    ("low", "high", "about", "expected"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.34, 5, [0, 0.1, 0.2, 0.3]),
        (431, 1264, 5, [600, 800, 1000, 1200]),
        (-3, 3, 6, [-3, -2, -1, 0, 1, 2, 3]),
    ],
)
def test_ticks_are_round_and_in_the_range(low, high, about, expected):
    assert ticks(low, high, about) == pytest.approx(expected)


def test_everything_is_drawn_inside_and_escaped():
    plot = SvgPlot("<b>", (0, 10), (0, 1), "x & y", "share", percent=True)
    plot.line([(0, 0), (2, float("nan")), (5, 2.0), (11, 0.5)], "line", "<script>")
    plot.band([0, 1], [0, 0], [1, 1], "area")
    plot.bar((1, 2), (0, 0.5), "bar", "a hint")
    plot.dots([(3, 0.5)], "dot")
    plot.vertical(9.9, "mark", "late")
    plot.note("a note")
    text = str(plot.render())
    root = ElementTree.fromstring(text)
    assert "<script>" not in text and root.attrib["aria-label"] == "<b>"
    line = next(part for part in root.iter("path") if part.attrib["class"] == "line").attrib["d"]
    assert line.count("M") == 2, "a NaN lifts the pen"
    numbers = [float(number) for number in re.findall(r"[\d.]+", line)]
    assert all(48 <= x <= 386 for x in numbers[::2]) and all(14 <= y <= 240 for y in numbers[1::2])
    assert "100" in [part.text for part in root.iter("text")], "percent"


def test_a_range_without_extent_and_no_values_can_be_drawn():
    plot = SvgPlot("title", (3, 3), (0, 0), "x", "y")
    plot.line([(3, 0)], "line")
    ElementTree.fromstring(str(plot.render()))
    for values in ([], [float("nan")], [0.5], [0.1, 0.9]):
        ElementTree.fromstring(str(sparkline(values, "mIoU")))
