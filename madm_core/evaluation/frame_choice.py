"""Which frames the report shows: the worst, the best and those in between, without keeping all of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.evaluation.frame_results import FrameResult
from madm_core.evaluation.metrics import confusion_matrix, scores
from madm_core.labels import Labels

_SAMPLE = 16
_WIDTH = 480
"""Pixels; larger frames are shown smaller."""
_JPEG_QUALITY = 88


@dataclass(frozen=True)
class ChosenFrame:
    """A frame at the size at which it is shown, at most 480 pixels wide, encoded to be small (some 50 kB).

    Args:
        bag, stamp_ns: Which frame.
        mean_iou: Over the classes in its own ground truth.
        image: JPEG.
        truth, labels: Grey PNG of class ids.
        confidence: Grey PNG, 255 = sure; None where it is not known.
    """

    bag: str
    stamp_ns: int
    mean_iou: float
    image: bytes
    truth: bytes
    labels: bytes
    confidence: bytes | None


class FrameChoice:
    """An observer that keeps the pictures of a few frames; its memory does not grow.

    Args:
        classes: Number of classes.
        each: How many of the best, of the worst and of the middle.
        seed: Of the sample from which the middle is taken: with many frames, those of a sample of 16 that are nearest
            to the median.

    Choices of several recordings are put together with :func:`worst_median_best`.
    """

    def __init__(self, classes: int, each: int = 2, seed: int = 0) -> None:
        self._classes = classes
        self.each = each
        self._rng = np.random.default_rng(seed)
        self.seen = 0
        # Heaps of (order, tie break, frame): the first element is the one that leaves next.
        self._best: list[tuple[float, int, ChosenFrame]] = []
        self._worst: list[tuple[float, int, ChosenFrame]] = []
        self._sample: list[ChosenFrame] = []

    def frame(self, result: FrameResult) -> None:
        """See :class:`~madm_core.evaluation.frame_results.FrameObserver`."""
        value = scores(confusion_matrix(result.labels, result.truth, self._classes)).mean_iou
        if np.isnan(value):
            return  # no ground truth in it: nothing to show an error of
        self.seen += 1
        shown: ChosenFrame | None = None
        for heap, order in ((self._best, value), (self._worst, -value)):
            entry = (order, -self.seen)
            if len(heap) < self.each or entry > heap[0][:2]:
                shown = shown or _shrink(result, value)
                heapq.heappush(heap, (*entry, shown))
                if len(heap) > self.each:
                    heapq.heappop(heap)
        # Reservoir sampling (Vitter 1985): every frame is in the sample with the same probability.
        place = self.seen - 1 if self.seen <= _SAMPLE else int(self._rng.integers(0, self.seen))
        if place < _SAMPLE:
            shown = shown or _shrink(result, value)
            self._sample[place : place + 1] = [shown]

    def close(self) -> None:
        """See :class:`~madm_core.evaluation.frame_results.FrameObserver`."""

    @property
    def candidates(self) -> list[ChosenFrame]:
        """All frames that are kept, each once."""
        kept = [frame for _, _, frame in (*self._best, *self._worst)] + self._sample
        return list({(frame.bag, frame.stamp_ns): frame for frame in kept}.values())


def worst_median_best(choices: Iterable[FrameChoice], median: float, each: int = 2) -> dict[str, list[ChosenFrame]]:
    """Puts the choices of several recordings together.

    Args:
        choices: Of all recordings.
        median: The median of the mean IoU over all frames.
        each: How many of each kind.

    Returns:
        ``"worst"``, ``"median"`` and ``"best"`` -> frames; no frame is in two of them.
    """
    ranked = sorted(
        (frame for choice in choices for frame in choice.candidates),
        key=lambda frame: (frame.mean_iou, frame.bag, frame.stamp_ns),
    )
    each = min(each, max(1, len(ranked) // 3))
    worst, best = ranked[:each], ranked[each:][-each:]
    middle = sorted(ranked[each : len(ranked) - each], key=lambda frame: abs(frame.mean_iou - median))[:each]
    return {"worst": worst, "median": middle, "best": best[::-1]}


def _shrink(result: FrameResult, mean_iou: float) -> ChosenFrame:
    height, width = result.truth.shape
    size = (width, height) if width <= _WIDTH else (_WIDTH, max(1, round(height * _WIDTH / width)))

    def pixels(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        smaller = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        scaled: npt.NDArray[np.uint8] = np.round(np.clip(smaller, 0, 1) * 255).astype(np.uint8)
        return scaled

    def ids(labels: Labels) -> bytes:
        return _encoded(".png", cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST))

    return ChosenFrame(
        result.bag,
        result.stamp_ns,
        mean_iou,
        _encoded(".jpg", pixels(result.image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]),
        ids(result.truth),
        ids(result.labels),
        None if result.confidence is None else _encoded(".png", pixels(result.confidence)),
    )


def _encoded(suffix: str, picture: npt.NDArray[np.uint8], options: Sequence[int] = ()) -> bytes:
    return bytes(cv2.imencode(suffix, picture, list(options))[1])
