"""What a model's training pictures look like in numbers, and how far a live one is from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.errors import ConfigError
from madm_core.modalities.base import Mask

QUANTITIES = ("picture_mean", "picture_contrast", "valid_share")
"""Mean and standard deviation of a picture's brightness (0 to 1), and the share of pixels that were measured."""

SAMPLE_STRIDE = 8
"""Pictures are judged by every eighth pixel in both directions: enough for a mean, and quick."""

_SMALLEST_SPREAD = 0.02
"""Recordings of one place hardly differ: less than 2 % of the range is not held against a live picture."""


def picture_values(image: npt.NDArray[Any], valid: Mask | None) -> dict[str, float]:
    """The :data:`QUANTITIES` of one picture.

    Args:
        image: (H, W, 3) float in [0, 1], or uint8.
        valid: (H, W) bool, where something was measured; None: everywhere.
    """
    scale = 1 / 255 if image.dtype == np.uint8 else 1.0
    # OpenCV needs a fraction of numpy's time for both.
    means, deviations = cv2.meanStdDev(np.ascontiguousarray(image[::SAMPLE_STRIDE, ::SAMPLE_STRIDE]))
    mean = float(means.mean())
    variance = float((deviations**2 + means**2).mean()) - mean**2
    share = 1.0 if valid is None else cv2.countNonZero(valid.view(np.uint8)) / valid.size
    return {
        "picture_mean": mean * scale,
        "picture_contrast": math.sqrt(max(variance, 0.0)) * scale,
        "valid_share": share,
    }


@dataclass(frozen=True)
class InputStatistics:
    """How the pictures that a model was trained with differ among themselves.

    Args:
        frames: Number of pictures.
        mean: Quantity -> its mean over the pictures.
        spread: Quantity -> its standard deviation over the pictures.
    """

    frames: int
    mean: Mapping[str, float]
    spread: Mapping[str, float]

    @classmethod
    def of(cls, pictures: Sequence[Mapping[str, float]]) -> InputStatistics:
        """From the :func:`picture_values` of at least one picture."""
        table = {name: np.array([values[name] for values in pictures]) for name in QUANTITIES}
        return cls(
            len(pictures),
            {name: float(column.mean()) for name, column in table.items()},
            {name: float(column.std()) for name, column in table.items()},
        )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> InputStatistics:
        """Read what :meth:`to_dict` wrote.

        Raises:
            ConfigError: A quantity is missing or no finite number.
        """
        try:
            mean = {name: float(fields[name]["mean"]) for name in QUANTITIES}
            spread = {name: float(fields[name]["spread"]) for name in QUANTITIES}
            frames = int(fields["frames"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError("input statistics cannot be read", got=f"{type(error).__name__}: {error}") from error
        if not all(math.isfinite(number) for number in (*mean.values(), *spread.values())) or min(spread.values()) < 0:
            raise ConfigError("input statistics cannot be read", got=dict(fields), expected="finite numbers")
        return cls(frames, mean, spread)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for ``madm.json``."""
        each = {name: {"mean": self.mean[name], "spread": self.spread[name]} for name in QUANTITIES}
        return {"frames": self.frames, **each}

    def deviations(self, values: Mapping[str, float]) -> dict[str, float]:
        """Quantity -> how many spreads a picture's value is from the mean, at least 0."""
        return {
            name: abs(values[name] - self.mean[name]) / max(self.spread[name], _SMALLEST_SPREAD) for name in QUANTITIES
        }
