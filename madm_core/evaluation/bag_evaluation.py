"""A model on recorded frames: the loop that everything else hangs on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.bag_frames import Frame
from madm_core.evaluation.bag_scores import BagScores, resized_image, resized_labels
from madm_core.evaluation.frame_results import FrameObserver, FrameResult, ProtocolName, show
from madm_core.labels import IGNORE
from madm_core.modalities import EncodedImage
from madm_core.segmenter import Segmenter


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

    With ``native`` among the protocols everything is at the sensor's size; with ``paper`` alone at the network's, to
    which picture and ground truth are resized. The milliseconds are those of the first network run.

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
    if "native" in protocols:
        native = segmenter.segment(encoded)
        milliseconds = (time.perf_counter() - started) * 1e3
        beside = _at_network_size(segmenter, encoded)[0] if "paper" in protocols else None
        return FrameResult(
            bag, frame.stamp_ns, encoded.image, frame.truth, native.labels, native.confidence, milliseconds, beside
        )
    labels, confidence = _at_network_size(segmenter, encoded)
    milliseconds = (time.perf_counter() - started) * 1e3
    picture, truth = resized_image(encoded.image, labels.shape), resized_labels(frame.truth, labels.shape)
    return FrameResult(bag, frame.stamp_ns, picture, truth, labels, confidence, milliseconds)


def _at_network_size(segmenter: Segmenter, encoded: EncodedImage) -> tuple[np.ndarray, np.ndarray]:
    """Labels (h, w) uint8 and confidence (h, w) float32 without any resizing of the logits."""
    with torch.inference_mode():
        highest, found = segmenter.logits(encoded).softmax(dim=0).max(dim=0)
        labels, confidence = found.to(torch.uint8).cpu().numpy(), highest.cpu().numpy()
    if encoded.valid is not None:
        unknown = resized_labels(encoded.valid.astype(np.uint8), labels.shape) == 0
        labels[unknown], confidence[unknown] = IGNORE, 0
    return labels, confidence
