"""What the frames of the last seconds were like, to judge the node's health. No ROS in here, safe from any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from madm_core.labels import IGNORE

_SPAN_S = 5.0
_SAMPLES_A_SIDE = 64


@dataclass(frozen=True)
class FrameFacts:
    """One published frame, or what is usual of several.

    Args:
        inference_s: How long the network took.
        arrival_age_s: Age of the stamp at arrival, below 0 when it lies in the future; None without a stamp.
        confidence: Mean confidence of the labelled pixels; None when there is none.
        top_class: The most frequent class; None when no pixel is labelled.
        top_share: Its share of the labelled pixels.
        picture: ``picture_values`` of the network's picture.
    """

    inference_s: float
    arrival_age_s: float | None
    confidence: float | None
    top_class: int | None
    top_share: float
    picture: Mapping[str, float]


class RecentFrames:
    """Keeps the facts of the last five seconds, and always those of the latest frame.

    Args:
        now_s: A clock that never goes back.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._kept: deque[tuple[float, FrameFacts]] = deque()

    def add(self, facts: FrameFacts) -> None:
        """A frame was published."""
        with self._lock:
            self._kept.append((self._now_s(), facts))
            self._forget()

    def usual(self) -> FrameFacts | None:
        """Medians over what is kept, with the latest top class; None before the first frame."""
        with self._lock:
            self._forget()
            kept = [facts for _, facts in self._kept]
        if not kept:
            return None
        confidences = [facts.confidence for facts in kept if facts.confidence is not None]
        ages = [facts.arrival_age_s for facts in kept if facts.arrival_age_s is not None]
        labelled = [facts for facts in kept if facts.top_class is not None]
        return FrameFacts(
            median(facts.inference_s for facts in kept),
            median(ages) if ages else None,
            median(confidences) if confidences else None,
            labelled[-1].top_class if labelled else None,
            median(facts.top_share for facts in labelled) if labelled else 0.0,
            {name: median(facts.picture[name] for facts in kept) for name in kept[-1].picture},
        )

    def _forget(self) -> None:
        while len(self._kept) > 1 and self._now_s() - self._kept[0][0] > _SPAN_S:
            self._kept.popleft()


def label_facts(
    labels: npt.NDArray[np.uint8], confidence: npt.NDArray[np.float32]
) -> tuple[float | None, int | None, float]:
    """Mean confidence, most frequent class and its share, over a sample of the labelled pixels.

    Args:
        labels: (H, W), 255 where there is no label.
        confidence: (H, W) in [0, 1].

    Returns:
        (None, None, 0.0) when no pixel of the sample has a label.
    """
    stride = max(1, min(labels.shape) // _SAMPLES_A_SIDE)
    seen = labels[::stride, ::stride]
    labelled = seen != IGNORE
    counts = np.bincount(seen[labelled], minlength=1)
    total = int(counts.sum())
    if total == 0:
        return None, None, 0.0
    mean = float(confidence[::stride, ::stride][labelled].mean(dtype=np.float64))
    return mean, int(counts.argmax()), float(counts.max()) / total
