"""Class colours that people without one kind of cone can tell apart, for pictures only: ids and training keep theirs.

The colours are computed, for any number of classes. First they are spread out: far apart in CIEDE2000 for normal
vision, protanopia, deuteranopia and tritanopia at once, as they are and in an overlay, and far from black, which shows
pixels without a class. Then every class goes back towards the colour that its label set gives it, as long as a set part
of that distance remains: the sky stays bluish and people reddish. Nothing is drawn at random; the same label set always
gets the same colours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np

from madm_core.color_vision import VISIONS, Floats, ciede2000, lab, seen_as
from madm_core.errors import ConfigError
from madm_core.labels import Color, LabelSet
from madm_core.palette_names import PALETTES

_STEPS = 13
"""Values of a channel that are tried: 13 x 13 x 13 colours, and the label set's own, are candidates."""

_SWEEPS = 20
"""How often every colour may move to a better place. More brings nothing measurable for 2 to 60 classes."""

OVERLAY_OPACITY, OVERLAY_GREY = 0.5, 128
"""The overlay that is thought of: the node's default opacity, over a grey of middle brightness."""

_KEPT = 0.7
"""Part of the widest spread's smallest difference that remains when colours go back to what people know."""


@lru_cache(maxsize=8)
def in_palette(label_set: LabelSet, palette: str) -> LabelSet:
    """The same classes in the colours of a palette.

    ``color_blind`` takes half a second for 20 classes, and some ten seconds for 255, the first time.

    Args:
        label_set: Names, ids and own colours.
        palette: One of :data:`madm_core.palette_names.PALETTES`.

    Raises:
        ConfigError: There is no such palette.
    """
    if palette == "label_set":
        return label_set
    if palette == "color_blind":
        search = _Search(label_set.colors)
        search.spread()
        search.go_home()
        return dataclasses.replace(label_set, colors=search.colors)
    raise ConfigError("unknown palette", got=repr(palette), expected=" or ".join(PALETTES))


class _Search:
    """Moves one candidate colour a class about.

    Args:
        wished: The colours that the classes have in their label set.
    """

    def __init__(self, wished: Sequence[Color]) -> None:
        steps = [int(step) for step in np.linspace(0, 255, _STEPS).round()]
        # The first one is black.
        self._candidates: list[Color] = [(red, green, blue) for red, green, blue in product(steps, repeat=3)]
        self._candidates += wished
        colors = np.array(self._candidates)
        overlaid = OVERLAY_OPACITY * colors + (1 - OVERLAY_OPACITY) * OVERLAY_GREY
        self._seen = [lab(seen_as(colors, vision)) for vision in VISIONS]
        self._seen_overlaid = [lab(seen_as(overlaid, vision)) for vision in VISIONS]
        # In an overlay, pixels without a class are not black: they keep the input.
        self._from_black = self._least(0, self._seen)
        own = lab(seen_as(np.array(wished), "normal"))
        self._from_wished = np.round(ciede2000(own[:, None], self._seen[VISIONS.index("normal")][None]), 6)
        self._chosen: list[int] = []
        self._rows = np.empty((len(wished), len(colors)))
        """Differences of each class's colour from all candidates, for the observer who sees least of it."""

    @property
    def colors(self) -> tuple[Color, ...]:
        """The colours as they are now, in class order."""
        return tuple(self._candidates[index] for index in self._chosen)

    def spread(self) -> None:
        """Put the colours far apart.

        They come one by one, each as far as possible from all before; then each in turn moves to where it is farthest
        from all others, and the best arrangement met on the way is kept.
        """
        nearest = self._from_black.copy()
        for position in range(len(self._rows)):
            self._chosen.append(int(nearest.argmax()))
            self._rows[position] = self._from(self._chosen[position])
            nearest = np.minimum(nearest, self._rows[position])
        best, widest = list(self._chosen), self._smallest()
        for _ in range(_SWEEPS):
            before = list(self._chosen)
            for position in range(len(self._rows)):
                self._move(position, int(self._nearest_other(position).argmax()))
            if self._smallest() > widest:
                best, widest = list(self._chosen), self._smallest()
            if self._chosen == before:
                break
        for position, index in enumerate(best):
            self._move(position, index)

    def go_home(self) -> None:
        """Bring the classes as near to their own colours as the smallest difference allows."""
        bound = _KEPT * self._smallest()
        self._share_out()
        for _ in range(_SWEEPS):
            before = list(self._chosen)
            for position, wish in enumerate(self._from_wished):
                allowed = np.where(self._nearest_other(position) >= bound, wish, np.inf)
                index = int(allowed.argmin())
                if allowed[index] < wish[self._chosen[position]]:
                    self._move(position, index)
            self._exchange()
            if self._chosen == before:
                break

    def _from(self, index: int) -> Floats:
        """Differences of a candidate from all, as colours and, for their full weight, in an overlay."""
        overlaid = self._least(index, self._seen_overlaid) / OVERLAY_OPACITY
        return np.asarray(np.minimum(self._least(index, self._seen), overlaid))

    def _least(self, index: int, seen_by: Sequence[Floats]) -> Floats:
        """For the observer who sees least of it; rounded, so that another processor's last bit changes no choice."""
        return np.asarray(np.round(np.min([ciede2000(seen[index], seen) for seen in seen_by], axis=0), 6))

    def _nearest_other(self, position: int) -> Floats:
        """Of every candidate: its difference from the nearest colour of the other classes, and from black."""
        others = np.delete(self._rows, position, axis=0)
        return np.asarray(np.minimum(others.min(axis=0, initial=np.inf), self._from_black))

    def _smallest(self) -> float:
        """The smallest difference among the colours and black."""
        between = self._rows[:, self._chosen].copy()
        np.fill_diagonal(between, np.inf)
        return float(min(between.min(), self._from_black[self._chosen].min()))

    def _move(self, position: int, index: int) -> None:
        if self._chosen[position] != index:
            self._chosen[position] = index
            self._rows[position] = self._from(index)

    def _share_out(self) -> None:
        """Give the colours to the classes: the pairs that are most alike find each other first."""
        alike = self._from_wished[:, self._chosen]
        taken = np.empty(len(alike), int)
        for _ in alike:
            position, column = (int(part) for part in np.unravel_index(alike.argmin(), alike.shape))
            taken[position] = column
            alike[position] = np.inf
            alike[:, column] = np.inf
        self._chosen = [self._chosen[column] for column in taken]
        self._rows = self._rows[taken]

    def _exchange(self) -> None:
        """Swap the colours of two classes where that brings them nearer to their own."""
        for first, second in product(range(len(self._rows)), repeat=2):
            wish, other = self._from_wished[[first, second]], self._chosen
            as_is = wish[0, other[first]] + wish[1, other[second]]
            if first < second and wish[0, other[second]] + wish[1, other[first]] < as_is:
                self._chosen[first], self._chosen[second] = self._chosen[second], self._chosen[first]
                self._rows[[first, second]] = self._rows[[second, first]]
