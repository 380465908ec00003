"""Rare class sampling (Hoyer et al., DAFormer, CVPR 2022): pictures with rare classes are drawn more often.

Statistics are counted on the original label ids of the data set, before any mapping.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from madm_core.errors import DataError
from madm_core.labels import IGNORE

ClassCounts = Sequence[Mapping[int, int]]
"""Per picture: {label id: number of its pixels}; 255 is left out."""


def count_classes(labels: npt.NDArray[np.uint8]) -> dict[int, int]:
    """{id: pixels} of one (H, W) uint8 label picture, without 255."""
    pixels = np.bincount(labels.ravel(), minlength=256)
    return {int(class_id): int(pixels[class_id]) for class_id in np.flatnonzero(pixels) if class_id != IGNORE}


def class_probabilities(counts: ClassCounts, temperature: float) -> tuple[tuple[int, ...], npt.NDArray[np.float64]]:
    """How likely each class is to be drawn: the softmax of (1 - its share of all pixels) / temperature.

    Args:
        counts: Per picture.
        temperature: > 0; small values draw almost only the rarest classes, large ones all alike.

    Returns:
        Class ids from rare to frequent (ties in order of appearance), and their probabilities.

    Raises:
        DataError: No picture has a labelled pixel.
    """
    totals: dict[int, int] = {}
    for picture in counts:
        for class_id, pixels in picture.items():
            totals[class_id] = totals.get(class_id, 0) + pixels
    if not totals:
        raise DataError(
            "rare class sampling has nothing to draw from",
            got="no labelled pixel in any picture",
            do="check the labels",
        )
    classes = tuple(sorted(totals, key=lambda class_id: totals[class_id]))
    total = np.array([totals[class_id] for class_id in classes], np.float64)
    scores = (1 - total / total.sum()) / temperature
    weights = np.exp(scores - scores.max())
    return classes, weights / weights.sum()


@dataclass(frozen=True)
class RareClassSampler:
    """Draws a class, then a picture that shows enough of it.

    Args:
        classes: Ids that can be drawn.
        cumulative: Their cumulative probabilities.
        pictures: Per class, the indices of the pictures with more than the minimum of its pixels.
    """

    classes: tuple[int, ...]
    cumulative: tuple[float, ...]
    pictures: tuple[tuple[int, ...], ...]

    @classmethod
    def from_counts(cls, counts: ClassCounts, *, temperature: float, min_pixels: int) -> RareClassSampler:
        """Prepares the draw.

        Args:
            counts: Per picture, in the order of the data set.
            temperature: See :func:`class_probabilities`.
            min_pixels: A picture belongs to a class when it shows more than this many of its pixels. A class that no
                picture shows that often is never drawn.

        Raises:
            DataError: No picture shows any class that often.
        """
        classes, probabilities = class_probabilities(counts, temperature)
        pictures = [
            tuple(index for index, picture in enumerate(counts) if picture.get(class_id, 0) > min_pixels)
            for class_id in classes
        ]
        usable = [position for position, indices in enumerate(pictures) if indices]
        if not usable:
            raise DataError(
                "rare class sampling has nothing to draw from",
                got=f"no picture with more than {min_pixels} pixels of a class",
                do="lower method.rare_class_min_pixels, or set method.rare_class_sampling=false",
            )
        kept = probabilities[usable] / probabilities[usable].sum()
        return cls(
            tuple(classes[position] for position in usable),
            tuple(float(share) for share in np.cumsum(kept)),
            tuple(pictures[position] for position in usable),
        )

    def draw(self, rng: random.Random) -> tuple[int, int]:
        """(class id, picture index)."""
        position = min(int(np.searchsorted(self.cumulative, rng.random(), side="right")), len(self.classes) - 1)
        return self.classes[position], rng.choice(self.pictures[position])


def crop_until_present(
    draw_crop: Callable[[], tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]],
    class_id: int,
    min_pixels: int,
    redraws: int = 10,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Redraws a random crop until it shows more than ``min_pixels`` of a class; the last redraw is taken as it is.

    Args:
        draw_crop: Returns (image, original label ids) of a new crop.
        class_id: The original id that should be seen.
        min_pixels: How much of it.
        redraws: How often at most a crop is drawn again.
    """
    image, labels = draw_crop()
    for _ in range(redraws):
        if int((labels == class_id).sum()) > min_pixels:
            break
        image, labels = draw_crop()
    return image, labels
