"""Scores on labelled frames of the target sensor, during training."""

from __future__ import annotations

import logging

import numpy as np
import torch

from madm_core.data.crops import resize_image, resize_labels
from madm_core.data.frames import Frames
from madm_core.errors import DataError
from madm_core.evaluation.metrics import Scores, confusion_matrix, scores
from madm_core.model.madm import MadmNetwork

logger = logging.getLogger(__name__)

_FIRST_LOOK = 5


@torch.no_grad()
def validate(
    network: MadmNetwork, frames: Frames, *, image_size: tuple[int, int], classes: int, limit: int, device: torch.device
) -> Scores:
    """Scores a network by the ``paper`` protocol: pictures and labels resized to the network's size.

    Args:
        network: Put into evaluation mode for the duration; it touches no random generator and no running statistics.
        frames: Labelled frames; unreadable ones are left out with a warning.
        image_size: (height, width) of the network's pictures.
        classes: Number of classes.
        limit: Look at so many frames, spread evenly; 0 = all.
        device: Where the network is.

    Raises:
        DataError: No frame can be read.
        InvalidInputError: Labels hold ids outside the classes.
    """
    was_training = network.training
    network.eval()
    count = len(frames) if limit == 0 else min(limit, len(frames))
    matrix = np.zeros((classes, classes + 1), np.int64)
    try:
        for index in _spread(len(frames), count):
            try:
                image, labels = frames.labelled_image(index)
            except DataError as error:
                logger.warning("a validation frame is left out: %s", error)
                continue
            pixels = torch.from_numpy(resize_image(image, image_size).copy()).to(device)
            logits = network(pixels.permute(2, 0, 1)[None].float() / 255, 0).logits
            predicted = logits[0].argmax(0).to(torch.uint8).cpu().numpy()
            truth = frames.to_label_set(resize_labels(labels, image_size))
            matrix += confusion_matrix(predicted, truth, classes)
    finally:
        network.train(was_training)
    if not matrix.any():
        raise DataError(f"no frame of {frames.name} could be scored", do="run check_data on this configuration")
    return scores(matrix)


def require_scorable(frames: Frames) -> None:
    """Looks at a few labelled frames: a set of which nothing can be scored is to be refused before the training.

    Raises:
        DataError: None of them can be used; the first one's reason.
    """
    problems = []
    for index in _spread(len(frames), min(_FIRST_LOOK, len(frames))):
        try:
            frames.labelled_image(index)
            return
        except DataError as error:
            problems.append(error)
    raise problems[0]


def _spread(total: int, count: int) -> list[int]:
    """``count`` indices of ``total`` frames, evenly spread."""
    indices: list[int] = np.linspace(0, total - 1, count).round().astype(int).tolist()
    return indices
