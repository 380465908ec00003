"""Measuring the frames that a model is trained with, so that its node can tell when live ones are unlike them."""

from __future__ import annotations

import logging

from madm_core.data.frames import Frames
from madm_core.errors import DataError
from madm_core.modalities.input_statistics import InputStatistics, picture_values

logger = logging.getLogger(__name__)

_FRAMES = 200


def measure_frames(frames: Frames, limit: int = _FRAMES) -> InputStatistics | None:
    """Statistics of up to ``limit`` frames, spread evenly over the set; None when not one of them can be read."""
    count = min(limit, len(frames))
    pictures = []
    for index in (number * len(frames) // count for number in range(count)):
        try:
            pictures.append(picture_values(*frames.image_and_valid(index)))
        except DataError as error:
            logger.warning("a frame of %s is left out of the input statistics: %s", frames.name, error)
    return InputStatistics.of(pictures) if pictures else None
