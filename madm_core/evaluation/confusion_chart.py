"""The confusion matrix as a heat map: inline SVG with a cell for every pair of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from madm_core.evaluation.svg_plot import css_color
from madm_core.labels import LabelSet

_CELL, _TOP, _PAD = 44, 118, 8


def confusion_heat_map(matrix: npt.NDArray[np.integer[Any]], label_set: LabelSet) -> Markup:
    """Each row is a class of the ground truth and adds up to 100 %.

    Args:
        matrix: (K, K + 1) counts of ``metrics.confusion_matrix``; the last column, nothing predicted, is shown if it is
            not empty.
        label_set: Names and colours.
    """
    names = [*label_set.names, "nothing"]
    columns = len(names) if matrix[:, -1].any() else len(label_set)
    left = 30 + round(7.2 * max(len(name) for name in names))
    width, height = left + columns * _CELL + 40, _TOP + len(label_set) * _CELL + _PAD
    rows = matrix.sum(axis=1)
    parts = [
        Markup('<svg class="matrix" viewBox="0 0 {} {}" width="{}" role="img" aria-label="Confusion matrix">').format(
            width, height, width
        )
    ]
    for column in range(columns):
        x = left + column * _CELL + _CELL / 2
        parts.append(
            Markup('<text class="name" transform="translate({} {}) rotate(-45)">{}</text>').format(
                x - 2, _TOP - 18, names[column]
            )
        )
        if column < len(label_set):
            parts.append(_swatch(label_set, column, x - 6, _TOP - 13))
    for row, name in enumerate(label_set.names):
        y = _TOP + row * _CELL
        parts.append(
            Markup('<text class="name" x="{}" y="{}" text-anchor="end" dy=".35em">{}</text>').format(
                left - 24, y + _CELL / 2, name
            )
        )
        parts.append(_swatch(label_set, row, left - 18, y + _CELL / 2 - 6))
        for column in range(columns):
            share = float(matrix[row, column] / rows[row]) if rows[row] else 0.0
            parts.append(_cell(share, row == column, left + column * _CELL, y, bool(rows[row])))
            hint = f"{name}, predicted as {names[column]}: {100 * share:.2f} % ({int(matrix[row, column])} pixels)"
            parts[-1] = Markup("<g>{}<title>{}</title></g>").format(parts[-1], hint)
    return Markup("").join([*parts, Markup("</svg>")])


def _swatch(label_set: LabelSet, class_id: int, x: float, y: float) -> Markup:
    color = css_color(label_set.colors[class_id])
    return Markup('<rect class="swatch" x="{}" y="{}" width="12" height="12" rx="2" fill="{}"></rect>').format(
        x, y, color
    )


def _cell(share: float, is_hit: bool, x: int, y: int, is_present: bool) -> Markup:
    kind = "hit" if is_hit else "miss"
    if not is_present:
        return Markup('<rect class="cell absent" x="{}" y="{}" width="42" height="42" rx="3"></rect>').format(x, y)
    words = Markup("")
    if share >= 0.005:
        # On the full colour dark words cannot be read any more.
        css = "value inverse" if share > 0.55 else "value"
        words = Markup('<text class="{}" x="{}" y="{}" dy=".35em" text-anchor="middle">{}</text>').format(
            css, x + 21, y + 21, f"{100 * share:.0f}" if share >= 0.0995 else f"{100 * share:.1f}"
        )
    # The square root makes the rare confusions visible, which are what one looks for.
    return Markup(
        '<rect class="cell" x="{0}" y="{1}" width="42" height="42" rx="3"></rect>'
        '<rect class="{2}" x="{0}" y="{1}" width="42" height="42" rx="3" fill-opacity="{3}"></rect>{4}'
    ).format(x, y, kind, f"{share**0.5:.3f}", words)
