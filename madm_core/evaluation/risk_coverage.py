"""Selective prediction: how wrong the labels are if only the most confident share of the pixels is used.

Source: El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 2010; the area under the
curve is AURC of Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.labels import IGNORE, Labels

_POINTS = (0.01, 0.02, 0.05, *(round(0.1 * step, 1) for step in range(1, 10)), 0.95, 1.0)


class RiskCoverage:
    """Collects the risk-coverage curve over all pixels that have a ground truth and a prediction.

    Args:
        bins: Number of equally wide bins of the confidence; pixels of one bin count as equally confident.
    """

    def __init__(self, bins: int = 10_000) -> None:
        self._bins = bins
        self._pixels = np.zeros(bins, np.int64)
        self._wrong = np.zeros(bins, np.int64)

    def update(self, confidence: npt.NDArray[np.float32], predicted: Labels, truth: Labels) -> None:
        """Adds one image.

        Args:
            confidence: (H, W) float32 in [0, 1].
            predicted: (H, W) uint8 ids, 255 for nothing predicted.
            truth: (H, W) uint8 ids, 255 for pixels that do not count.
        """
        counts = (truth != IGNORE) & (predicted != IGNORE)
        bins = np.minimum((confidence[counts] * np.float32(self._bins)).astype(np.int64), self._bins - 1)
        self._pixels += np.bincount(bins, minlength=self._bins)
        self._wrong += np.bincount(bins[(predicted != truth)[counts]], minlength=self._bins)

    def absorb(self, other: RiskCoverage) -> None:
        """Adds the pixels of another collection with as many bins."""
        self._pixels += other._pixels
        self._wrong += other._wrong

    def curve(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Coverage in (0, 1], rising, and the risk (share of wrong pixels) among the pixels that are covered."""
        order = np.flatnonzero(self._pixels)[::-1]
        pixels, wrong = np.cumsum(self._pixels[order]), np.cumsum(self._wrong[order])
        return pixels / max(int(self._pixels.sum()), 1), wrong / np.maximum(pixels, 1)

    @property
    def area(self) -> float:
        """Mean risk over all coverages (0 is best); NaN without pixels."""
        coverage, risk = self.curve()
        if not len(coverage):
            return float("nan")
        # A step for every bin: its pixels join at once, with the risk that holds once they have.
        return float((np.diff(coverage, prepend=0.0) * risk).sum())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the area and the risk at some coverages."""
        coverage, risk = self.curve()
        if not len(coverage):
            return {"area": None, "points": []}
        values = np.interp(_POINTS, coverage, risk)
        return {
            "area": self.area,
            "points": [{"coverage": point, "risk": float(value)} for point, value in zip(_POINTS, values, strict=True)],
        }
