"""A model on a data set on disk: every frame once, whoever computes it, in one and the same order.

The frames are cut into blocks that do not depend on the number of processes. Each process scores every n-th block, and
the blocks are put together in the order of the data set: two processes give the same numbers as one, to the last bit.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from madm_core.data.crops import Picture, resize_image, resize_labels
from madm_core.data.frames import Frames, to_picture
from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.frame_results import FrameObserver, FrameResult, ProtocolName, show
from madm_core.labels import IGNORE, Labels
from madm_core.modalities import EncodedImage
from madm_core.segmenter import Segmenter

logger = logging.getLogger(__name__)

BLOCK = 32
"""Frames of a block: few enough to spread small data sets, many enough that their scores are little to send."""
_SHOWN_WARNINGS = 20


class Block(NamedTuple):
    """Frames that one process scores: ``indices`` of the data set, all of the ``sequence`` of that name."""

    sequence: str
    indices: range


class BlockScores(NamedTuple):
    """The scores of block ``number``."""

    number: int
    scores: BagScores


def blocks_of(frames: Frames) -> list[Block]:
    """Cuts a data set into blocks in its order.

    Frames whose labels lie in one folder are a sequence (a drive of DSEC, a city of Cityscapes); it is named by that
    folder, without what all folders have in common.

    Raises:
        DataError: There are no frames, or frames without labels.
    """
    if not frames.labelled:
        raise DataError(f"{frames.name} cannot be scored", got=f"{len(frames)} frames, not all of them with labels")
    folders = [str(frame.labels.parent) for frame in frames.files if frame.labels is not None]
    common = os.path.commonpath(folders)
    blocks: list[Block] = []
    first = 0
    for index in range(1, len(folders) + 1):
        if index < len(folders) and folders[index] == folders[first] and index - first < BLOCK:
            continue
        below = os.path.relpath(folders[first], common)
        name = frames.name if below == "." else Path(below).as_posix()
        blocks.append(Block(name, range(first, index)))
        first = index
    return blocks


def score_blocks(
    segmenter: Segmenter,
    frames: Frames,
    blocks: Iterable[tuple[int, Block]],
    protocols: tuple[ProtocolName, ...],
    observers: Sequence[FrameObserver] = (),
    *,
    progress: Callable[[], object] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[BlockScores]:
    """Scores some blocks of a data set, of which a file that cannot be used is left out, counted and named.

    Args:
        segmenter: The model.
        frames: The data set.
        blocks: Numbered blocks of :func:`blocks_of`.
        protocols: What is scored.
        observers: See every frame; they are not closed here.
        progress: Called after every frame.
        stop: Asked before every frame; when it says True, the rest is left and the scores are marked as interrupted.
    """
    done = []
    for number, block in blocks:
        scores = BagScores(block.sequence, segmenter.label_set, protocols, segmenter.image_size)
        scores.expected = len(block.indices)
        for index in block.indices:
            if stop():
                scores.interrupted = True
                break
            try:
                result = dataset_frame(segmenter, frames, index, protocols, block.sequence)
                scores.add(result)
            except (DataError, InvalidInputError) as error:
                reason = error.reason if isinstance(error, InvalidInputError) else "file"
                scores.counts.cannot_use(InvalidInputError(str(error), reason=reason))
                scores.warnings.append(f"{frames.files[index].image} is left out: {error}")
                logger.warning("%s", scores.warnings[-1])
                continue
            finally:
                progress()
            show(observers, result)
        done.append(BlockScores(number, scores))
        if scores.interrupted:
            break
    return done


def dataset_frame(
    segmenter: Segmenter, frames: Frames, index: int, protocols: Sequence[ProtocolName], sequence: str
) -> FrameResult:
    """Runs the network on a frame of a data set.

    ``paper`` squashes the 8-bit picture with Pillow's bilinear filter and the labels by nearest neighbour, as the
    authors' test code does; the segmenter's resize mode concerns ``native`` only. A data set has no clock: the stamp
    of frame n is n seconds.

    Raises:
        DataError: A file cannot be read, or picture and labels differ in size.
        InvalidInputError: The modality refuses the picture, or ids are not the data set's.
    """
    encoded, picture = _encoded(segmenter, frames, index)
    stored = frames.labels(index)
    foreign = sorted(set(np.unique(stored).tolist()) - frames.known_ids)
    if foreign:
        raise InvalidInputError(
            f"{frames.files[index].labels} holds ids that {frames.name} does not have",
            reason="ids",
            got=", ".join(map(str, foreign[:10])),
        )
    truth = frames.to_label_set(stored)
    if truth.shape != picture.shape[:2]:
        raise DataError(
            "a picture and its labels differ in size", got=f"{picture.shape[:2]} and {truth.shape} (height, width)"
        )
    stamp_ns = index * 1_000_000_000
    started = time.perf_counter()
    native = segmenter.segment(encoded) if "native" in protocols else None
    milliseconds = (time.perf_counter() - started) * 1e3
    squashed = np.array(resize_image(picture, segmenter.image_size))  # a copy: Pillow's memory is read-only
    small = None
    if "paper" in protocols:
        started = time.perf_counter()
        small = segmenter.prediction(segmenter.logits(squashed, "reference"), segmenter.image_size)
        if encoded.valid is not None:
            unknown = resize_labels(encoded.valid.astype(np.uint8), segmenter.image_size) == 0
            small.labels[unknown], small.confidence[unknown] = IGNORE, 0
    if native is not None:
        network_labels: Labels | None = small.labels if small is not None else None
        return FrameResult(
            sequence, stamp_ns, encoded.image, truth, native.labels, native.confidence, milliseconds, network_labels
        )
    assert small is not None, "there is at least one protocol"
    milliseconds = (time.perf_counter() - started) * 1e3
    seen = squashed.astype(np.float32) / np.float32(255)
    truth = resize_labels(truth, segmenter.image_size)
    return FrameResult(sequence, stamp_ns, seen, truth, small.labels, small.confidence, milliseconds)


def _encoded(segmenter: Segmenter, frames: Frames, index: int) -> tuple[EncodedImage, Picture]:
    """The frame for the network, and the 8-bit picture of it that training and the paper's protocol use."""
    path = frames.files[index].image
    array = frames.read_image(path)
    picture = to_picture(array, frames.modality, path)
    if array.dtype == np.uint8 and array.ndim in (2, 3):
        return EncodedImage(picture.astype(np.float32) / np.float32(255)), picture
    assert frames.modality is not None, "to_picture has refused it"
    frames.modality.reset()
    return frames.modality.encode(array), picture


def sequences_in_order(parts: Iterable[BlockScores], blocks: Sequence[Block]) -> tuple[list[BagScores], list[str]]:
    """Puts the blocks of all processes together.

    Args:
        parts: What was scored; without an interruption all of the blocks.
        blocks: All blocks of the data set.

    Returns:
        The scores of each sequence, in the order of the data set, and the names of sequences that were not begun.
    """
    found: dict[str, BagScores] = {}
    for _, scores in sorted(parts, key=lambda part: part.number):
        if scores.name in found:
            found[scores.name].absorb(scores)
        else:
            found[scores.name] = scores
    frames: dict[str, int] = {}
    for block in blocks:
        frames[block.sequence] = frames.get(block.sequence, 0) + len(block.indices)
    for name, scores in found.items():
        scores.expected = frames[name]
        scores.interrupted |= len(scores.frames) + sum(scores.counts.unusable.values()) < frames[name]
        left_out = len(scores.warnings) - _SHOWN_WARNINGS
        if left_out > 0:
            scores.warnings[_SHOWN_WARNINGS:] = [f"and {left_out} more"]
    return list(found.values()), [name for name in frames if name not in found]
