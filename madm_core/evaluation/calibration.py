"""Whether a confidence means what it says: of the pixels with confidence 0.8, are 80 % right?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.labels import IGNORE, Labels


class Calibration:
    """Collects the reliability curve and the expected calibration error (Guo et al., "On Calibration of Modern Neural
    Networks", ICML 2017) over all pixels that have a ground truth and a prediction.

    Args:
        bins: Number of equally wide bins of the confidence.
    """

    def __init__(self, bins: int = 15) -> None:
        self._bins = bins
        self._pixels = np.zeros(bins, np.int64)
        self._right = np.zeros(bins, np.int64)
        self._confidence = np.zeros(bins, np.float64)

    def update(self, confidence: npt.NDArray[np.float32], predicted: Labels, truth: Labels) -> None:
        """Adds one image.

        Args:
            confidence: (H, W) float32 in [0, 1].
            predicted: (H, W) uint8 ids, 255 for nothing predicted.
            truth: (H, W) uint8 ids, 255 for pixels that do not count.
        """
        counts = (truth != IGNORE) & (predicted != IGNORE)
        values = confidence[counts].astype(np.float64)
        bins = np.minimum((values * self._bins).astype(np.int64), self._bins - 1)
        self._pixels += np.bincount(bins, minlength=self._bins)
        self._right += np.bincount(bins, (predicted == truth)[counts], minlength=self._bins).astype(np.int64)
        self._confidence += np.bincount(bins, values, minlength=self._bins)

    def absorb(self, other: Calibration) -> None:
        """Adds the pixels of another collection with as many bins."""
        self._pixels += other._pixels
        self._right += other._right
        self._confidence += other._confidence

    @property
    def expected_error(self) -> float:
        """Mean distance between confidence and share of right pixels, weighted by pixels; NaN without pixels."""
        total = int(self._pixels.sum())
        return float(np.abs(self._confidence - self._right).sum() / total) if total else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the error and, for every bin that holds pixels, its mean confidence and share of right pixels."""
        filled = np.flatnonzero(self._pixels)
        return {
            "expected_calibration_error": None if not filled.size else self.expected_error,
            "bins": [
                {
                    "confidence": float(self._confidence[index] / self._pixels[index]),
                    "accuracy": float(self._right[index] / self._pixels[index]),
                    "pixels": int(self._pixels[index]),
                }
                for index in filled
            ],
        }
