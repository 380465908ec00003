"""A model on recorded frames: the loop that everything else hangs on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from madm_core.data.crops import resize_labels
from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.bag_frames import Frame
from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.frame_results import FrameObserver, FrameResult, ProtocolName, show
from madm_core.segmenter import Prediction, Segmenter


def evaluate(
    segmenter: Segmenter,
    frames: Iterable[Frame],
    scores: BagScores,
    observers: Sequence[FrameObserver] = (),
    *,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Scores a model on frames, one after another; memory grows by the numbers of ``FrameTable`` only.

    Args:
        segmenter: The model.
        frames: Raw sensor arrays with their ground truth, in the order of their stamps.
        scores: Gets the scores, and the count of frames whose data the modality refuses.
        observers: See every frame; they are not closed here.
        stop: Asked before every frame; when it says True, the rest is left and ``scores`` marked as interrupted.

    Raises:
        DataError: Labels are of another size than the pictures.
    """
    for frame in frames:
        if stop():
            scores.interrupted = True
            return
        try:
            result = segment_frame(segmenter, frame, scores.protocols, scores.name)
        except InvalidInputError as error:
            scores.counts.cannot_use(error)
            continue
        scores.add(result)
        show(observers, result)


def segment_frame(segmenter: Segmenter, frame: Frame, protocols: Sequence[ProtocolName], bag: str = "") -> FrameResult:
    """Runs the network on a frame.

    ``paper`` is of the whole picture squashed to the network's size, ``native`` of the segmenter's resize mode; where
    they are the same, both are read from the logits of one run. With ``native`` among the protocols everything is at
    the sensor's size; with ``paper`` alone at the network's, to which picture and ground truth are resized. The
    milliseconds are those until the first labels.

    Raises:
        InvalidInputError: The modality refuses the data.
        DataError: Labels and picture differ in size.
    """
    started = time.perf_counter()
    encoded = segmenter.modality.encode(frame.raw)
    if encoded.image.shape[:2] != frame.truth.shape:
        raise DataError(
            "labels and pictures differ in size",
            got=f"labels {frame.truth.shape}, pictures {encoded.image.shape[:2]} at stamp {frame.stamp_ns}",
            expected="labels at the sensor's size (height, width)",
        )
    is_native = "native" in protocols
    logits = segmenter.logits(encoded, None if is_native else "reference")
    first = (frame.truth.shape[0], frame.truth.shape[1]) if is_native else segmenter.image_size
    found = _prediction(segmenter, logits, first, encoded.valid)
    milliseconds = (time.perf_counter() - started) * 1e3
    beside = None
    if is_native and "paper" in protocols:
        if segmenter.resize != "reference":
            logits = segmenter.logits(encoded, "reference")
        beside = _prediction(segmenter, logits, segmenter.image_size, encoded.valid).labels
    picture, truth = _resized_picture(encoded.image, first), resize_labels(frame.truth, first)
    return FrameResult(bag, frame.stamp_ns, picture, truth, found.labels, found.confidence, milliseconds, beside)


def _prediction(
    segmenter: Segmenter, logits: Tensor, size: tuple[int, int], valid: npt.NDArray[np.bool_] | None
) -> Prediction:
    """What the logits say at a size, to which the picture's validity is resized by nearest neighbour."""
    return segmenter.prediction(
        logits, size, None if valid is None else resize_labels(valid.astype(np.uint8), size).astype(np.bool_)
    )


def _resized_picture(image: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W, 3) picture at another (height, width), for showing it."""
    if image.shape[:2] == size:
        return image
    smaller: npt.NDArray[np.float32] = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return smaller
