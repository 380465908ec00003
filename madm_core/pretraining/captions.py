"""Captions: the style of a picture and the things in it, as a short English phrase."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from madm_core.labels import MADM11

_WORDS = {
    "person": "people",
    "car": "cars",
    "traffic sign": "signs",
    "vegetation": "trees",
    "fence": "fence",
    "wall": "wall",
}
"""What a caption can name. Road, sky, buildings and the like are in nearly every picture: naming them says nothing."""
_NOTICEABLE = 0.004
"""Share of the pixels from which a person would mention a thing."""


def caption(labels: npt.NDArray[np.uint8], style: str, conditions: str) -> str:
    """Describes a picture in at most 77 characters, the length that the tokenizer of single bytes allows a prompt.

    Args:
        labels: (H, W) uint8 ids of :data:`madm_core.labels.MADM11`; only used to see which things are there.
        style: Name of a style, as in :data:`madm_core.pretraining.styles.STYLES`.
        conditions: Light or weather, such as ``"night"``.
    """
    shares = np.bincount(labels.ravel(), minlength=256) / labels.size
    things = [word for name, word in _WORDS.items() if shares[MADM11.names.index(name)] >= _NOTICEABLE]
    return f"{style}, {conditions} street, {', '.join(things)}"[:75].rstrip(", ")
