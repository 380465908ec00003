"""One scored frame with its pictures, and who may look at it.

This is the seam between what produces predictions (a model on a bag, the running node, a data set) and what uses them::

    source -> FrameResult -> BagScores.add()          the numbers, which stay
                          -> every FrameObserver      the pictures, which do not
    all BagScores -> EvaluationResult -> write_report(result, output)

A **source** is a loop that makes one :class:`FrameResult` a frame, hands it to ``BagScores.add`` and to
:func:`show`. ``bag_evaluation.evaluate`` is the one for a model on recorded frames; anything that gets labels from
elsewhere, as over DDS, makes the same object.

An **observer** sees every frame once, in order, while its arrays exist. It must copy what it keeps, because memory has
to stay flat over hours of recording. It decides by itself what it needs: ``PredictionExport`` writes a bag,
``FrameChoice`` keeps some pictures for the report.

``evaluate_bag`` opens its observers in ``madm_ros/bag_scoring.py``, function ``_open_observers``; a new output is one
more entry there and one more option in ``madm_ros/commands/evaluate_bag.py``. Another source is one more branch in
``evaluate`` there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from madm_core.labels import Labels

ProtocolName = Literal["paper", "native"]

PROTOCOLS: dict[ProtocolName, str] = {
    "native": "predictions at the sensor's size against labels of that size",
    "paper": "predictions at the network's size against labels resized to it by nearest neighbour (MADM: 512x512)",
}


def protocols_named(word: str) -> tuple[ProtocolName, ...]:
    """What ``--protocol native``, ``paper`` or ``both`` asks for."""
    return tuple(protocol for protocol in PROTOCOLS if word in (protocol, "both"))


@dataclass(frozen=True)
class FrameResult:
    """One frame: what the sensor saw, what is true, what was predicted.

    Args:
        bag: Name of the recording, as in the report.
        stamp_ns: Header stamp of the sensor's message (for events: of the labels), nanoseconds since the epoch.
        image: (H, W, 3) float32 in [0, 1], the modality's picture that the network saw.
        truth: (H, W) uint8 ids, 255 where nothing is known.
        labels: (H, W) uint8 predicted ids, 255 where nothing was predicted.
        confidence: (H, W) float32 in [0, 1], 0 where the label is 255; None where the source does not tell it.
        milliseconds: Time from the sensor's array to the labels; None where it was not measured.
        network_labels: (h, w) uint8 predicted ids at the network's size, for the ``paper`` protocol beside the
            ``native`` one; None when one protocol is scored, to which ``labels`` belong.
    """

    bag: str
    stamp_ns: int
    image: npt.NDArray[np.float32]
    truth: Labels
    labels: Labels
    confidence: npt.NDArray[np.float32] | None
    milliseconds: float | None
    network_labels: Labels | None = None


class FrameObserver(Protocol):
    """Something that uses the pictures of scored frames."""

    def frame(self, result: FrameResult) -> None:
        """One frame, in the order of the stamps; its arrays must not be changed, and be copied to be kept."""
        ...

    def close(self) -> None:
        """The last frame has come, or the evaluation was interrupted or failed; called once."""
        ...


def show(observers: Iterable[FrameObserver], result: FrameResult) -> None:
    """Hands a frame to all observers."""
    for observer in observers:
        observer.frame(result)
