"""Confidence intervals by resampling (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).

Frames of one drive resemble each other, so an interval over frames says how much the choice of frames matters, not that
of streets; with several recordings, resampling whole recordings says the latter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from madm_core.errors import InvalidInputError

_BATCH = 100


class Interval(NamedTuple):
    """Lower and upper bound; NaN where there is nothing to resample."""

    low: float
    high: float


def mean_iou_interval(
    matrices: npt.NDArray[np.integer],
    *,
    sequences: npt.NDArray[np.integer] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of the mean IoU.

    Args:
        matrices: (N, K, K + 1) one confusion matrix a frame.
        sequences: (N,) the number of the recording of each frame: recordings are resampled; None: frames are.
        level: Coverage.
        resamples: Number of resampled data sets.
        seed: Of the resampling.
    """
    units = _units(matrices, sequences)
    if len(units) == 0:
        return Interval(float("nan"), float("nan"))
    values = mean_ious(_resampled(units, resamples, seed))
    return _bounds(values, level)


class PairedDifference(NamedTuple):
    """A score of B minus that of A: on all frames, its interval, and the share of resamples in which it is above 0."""

    value: float
    interval: Interval
    share_above_zero: float


def paired_difference(
    first: npt.NDArray[np.integer],
    second: npt.NDArray[np.integer],
    *,
    sequences: npt.NDArray[np.integer] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[PairedDifference, list[PairedDifference], tuple[float, float]]:
    """Paired bootstrap: each resample draws the same frames (or recordings) for both models.

    What makes a frame hard for both cancels out, so this tells models apart whose own intervals overlap.

    Args:
        first, second: (N, K, K + 1) confusion matrices of A and of B on the same frames in the same order.
        sequences, level, resamples, seed: As of :func:`mean_iou_interval`.

    Returns:
        The difference of the mean IoU, that of each class' IoU (NaN for a class that is not there), and the mean IoU of
        A and of B.

    Raises:
        InvalidInputError: The numbers of frames or of classes differ, or there is no frame.
    """
    if first.shape != second.shape or len(first) == 0:
        raise InvalidInputError(
            "the models cannot be compared",
            reason="shape",
            got=f"matrices {first.shape} and {second.shape}",
            expected="the same frames and classes, at least one frame",
        )
    sides = [_resampled(_units(side, sequences), resamples, seed) for side in (first, second)]
    whole = [side.sum(axis=0, dtype=np.int64)[None] for side in (first, second)]
    means = [float(mean_ious(side)[0]) for side in whole]
    total = _difference(means[1] - means[0], mean_ious(sides[1]) - mean_ious(sides[0]), level)
    values = class_ious(whole[1])[0] - class_ious(whole[0])[0]
    resampled = class_ious(sides[1]) - class_ious(sides[0])
    classes = [_difference(float(value), resampled[:, index], level) for index, value in enumerate(values)]
    return total, classes, (means[0], means[1])


def _difference(value: float, resampled: npt.NDArray[np.float64], level: float) -> PairedDifference:
    found = resampled[~np.isnan(resampled)]
    share = float((found > 0).mean()) if len(found) else float("nan")
    return PairedDifference(value, _bounds(resampled, level), share)


def mean_ious(matrices: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """(N,) mean IoU of each of (N, K, K + 1) confusion matrices, over the classes in its ground truth; else NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values: npt.NDArray[np.float64] = np.nansum(class_ious(matrices), axis=1) / (matrices.sum(axis=2) > 0).sum(
            axis=1
        )
    return values


def class_ious(matrices: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """(N, K) IoU of each class; NaN where the class is not in the ground truth."""
    classes = matrices.shape[1]
    truth = matrices.sum(axis=2, dtype=np.float64)
    predicted = matrices[:, :, :classes].sum(axis=1, dtype=np.float64)
    hits = np.diagonal(matrices, axis1=1, axis2=2).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(truth > 0, hits / (truth + predicted - hits), np.nan)


def _units(matrices: npt.NDArray[np.integer], sequences: npt.NDArray[np.integer] | None) -> npt.NDArray[np.integer]:
    """What is drawn: the frames' matrices, or their sums over each recording."""
    if sequences is None:
        return matrices
    numbers, positions = np.unique(sequences, return_inverse=True)
    sums = np.zeros((len(numbers), *matrices.shape[1:]), np.int64)
    np.add.at(sums, positions, matrices)
    return sums


def _resampled(units: npt.NDArray[np.integer], resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """(resamples, K, K + 1) sums over as many units as there are, drawn with replacement; exact below 2**53 pixels."""
    rng = np.random.default_rng(seed)
    count = len(units)
    sums = np.zeros((resamples, units[0].size))
    for start in range(0, resamples, _BATCH):
        weights = np.stack(
            [np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(min(_BATCH, resamples - start))]
        ).astype(np.float64)
        for first in range(0, count, 4096):  # long recordings: no float copy of all matrices
            part = units[first : first + 4096].reshape(-1, units[0].size).astype(np.float64)
            sums[start : start + len(weights)] += weights[:, first : first + 4096] @ part
    return sums.reshape(resamples, *units.shape[1:])


def _bounds(values: npt.NDArray[np.float64], level: float) -> Interval:
    if np.isnan(values).all():
        return Interval(float("nan"), float("nan"))
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
