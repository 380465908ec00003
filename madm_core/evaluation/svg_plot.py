"""A plot with two axes as inline SVG. Colours come from the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Range = tuple[float, float]
Points = Iterable[tuple[float, float]]

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 14, 40


class SvgPlot:
    """Collects shapes in data coordinates; :meth:`render` draws them with axes and grid.

    Args:
        title: Read out by screen readers.
        x, y: Ranges of the axes; equal ends are widened.
        x_label, y_label: Names of the axes with their units.
        size: (width, height) in the drawing's units, which are pixels when it is shown at its full width.
        percent: Whether the y axis shows shares of 0 to 1 as percent.

    ``css`` arguments are class names of the page's style sheet. Points outside the ranges are drawn at their edge.
    """

    def __init__(
        self,
        title: str,
        x: Range,
        y: Range,
        x_label: str,
        y_label: str,
        *,
        size: tuple[int, int] = (400, 280),
        percent: bool = False,
    ) -> None:
        self._title = title
        self._x, self._y = _widened(x), _widened(y)
        self._labels = (x_label, y_label)
        self._size = size
        self._percent = percent
        self._shapes: list[Markup] = []

    def line(self, points: Points, css: str, hint: str = "") -> None:
        """A polyline; a NaN interrupts it."""
        commands, pen_is_down = [], False
        for x, y in points:
            if math.isnan(y):
                pen_is_down = False
                continue
            commands.append(f"{'L' if pen_is_down else 'M'}{self._at(x, y)}")
            pen_is_down = True
        self._add('<path class="{}" d="{}">{}</path>', css, " ".join(commands), _hint(hint))

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], css: str) -> None:
        """The area between two lines."""
        outline = [(x, y) for x, y in zip(xs, high, strict=True) if not math.isnan(y)]
        outline += [(x, y) for x, y in reversed(list(zip(xs, low, strict=True))) if not math.isnan(y)]
        if outline:
            path = "M" + " L".join(self._at(x, y) for x, y in outline) + "Z"
            self._add('<path class="{}" d="{}"></path>', css, path)

    def bar(self, x: Range, y: Range, css: str, hint: str = "") -> None:
        """A box from corner to corner."""
        left, right = sorted(self._place_x(value) for value in x)
        top, bottom = sorted(self._place_y(value) for value in y)
        self._add(
            '<rect class="{}" x="{}" y="{}" width="{}" height="{}">{}</rect>',
            css, _number(left), _number(top), _number(max(right - left, 0.5)), _number(bottom - top), _hint(hint),
        )  # fmt: skip

    def dots(self, points: Points, css: str, radius: float = 1.8) -> None:
        """Small circles in one shape."""
        path = " ".join(f"M{self._at(x, y)}h.01" for x, y in points if not math.isnan(y))
        self._add('<path class="{}" d="{}" stroke-width="{}"></path>', css, path, _number(2 * radius))

    def vertical(self, x: float, css: str, label: str = "", *, row: int = 0) -> None:
        """A line across the plot with words at its upper end; ``row`` moves them down so that neighbours fit."""
        place = self._place_x(x)
        self._add(
            '<path class="{}" d="M{} {}V{}"></path>', css, _number(place), _TOP, self._size[1] - _BOTTOM
        )  # fmt: skip
        if label:
            is_right = place > self._size[0] * 0.72
            self._add(
                '<text class="mark" x="{}" y="{}" text-anchor="{}">{}</text>',
                _number(place + (-5 if is_right else 5)), _TOP + 11 + 14 * row, "end" if is_right else "start", label,
            )  # fmt: skip

    def note(self, words: str) -> None:
        """Words in the middle, for a plot without data."""
        self._add(
            '<text class="note" x="{}" y="{}" text-anchor="middle">{}</text>',
            (self._size[0] + _LEFT - _RIGHT) // 2, self._size[1] // 2, words,
        )  # fmt: skip

    def render(self) -> Markup:
        """The SVG element."""
        width, height = self._size
        parts = [
            Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
                width, height, self._title
            )
        ]
        for value in ticks(*self._y, 5):
            y = _number(self._place_y(value))
            label = f"{100 * value:.4g}" if self._percent else f"{value:.4g}"
            parts.append(Markup('<path class="grid" d="M{} {}H{}"></path>').format(_LEFT, y, width - _RIGHT))
            parts.append(
                Markup('<text class="tick" x="{}" y="{}" dy=".35em" text-anchor="end">{}</text>').format(
                    _LEFT - 7, y, label
                )
            )
        for value in ticks(*self._x, max(3, width // 80)):
            x = _number(self._place_x(value))
            parts.append(
                Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                    x, height - _BOTTOM + 16, f"{value:.6g}"
                )
            )
        parts.extend(self._shapes)
        parts.append(Markup('<path class="axis" d="M{} {}H{}"></path>').format(_LEFT, height - _BOTTOM, width - _RIGHT))
        parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                (_LEFT + width - _RIGHT) // 2, height - 5, self._labels[0]
            )
        )
        parts.append(
            Markup(
                '<text class="label" transform="translate(11 {}) rotate(-90)" text-anchor="middle">{}</text>'
            ).format((_TOP + height - _BOTTOM) // 2, self._labels[1])
        )
        return Markup("").join([*parts, Markup("</svg>")])

    def _add(self, template: str, *values: object) -> None:
        self._shapes.append(Markup(template).format(*values))

    def _at(self, x: float, y: float) -> str:
        return f"{_number(self._place_x(x))} {_number(self._place_y(y))}"

    def _place_x(self, value: float) -> float:
        low, high = self._x
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return _LEFT + share * (self._size[0] - _LEFT - _RIGHT)

    def _place_y(self, value: float) -> float:
        low, high = self._y
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return self._size[1] - _BOTTOM - share * (self._size[1] - _TOP - _BOTTOM)


def css_color(color: tuple[int, int, int]) -> str:
    """Red, green and blue of 0 to 255 as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within a range, roughly so many."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _widened(limits: Range) -> Range:
    low, high = limits
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _hint(words: str) -> Markup:
    return Markup("<title>{}</title>").format(words) if words else Markup("")


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def sparkline(values: Sequence[float], title: str, size: tuple[int, int] = (120, 24)) -> Markup:
    """A line of shares of 0 to 1 without axes, for a table."""
    width, height = size
    step = (width - 4) / max(len(values) - 1, 1)
    points = [(2 + index * step, 2 + (1 - value) * (height - 4)) for index, value in enumerate(values)]
    path = "M" + " L".join(f"{_number(x)} {_number(y)}" for x, y in points if not math.isnan(y))
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><path d="{}"></path></svg>'
    ).format(width, height, escape(title), path if points else "")
