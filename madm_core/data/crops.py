"""Resize, crop and flip: from a frame of any size to one training picture (algorithm section 9.1)."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
from PIL import Image

from madm_core.errors import DataError

Picture = npt.NDArray[np.uint8]


def three_channels(image: Picture) -> Picture:
    """(H, W) or (H, W, 1..4) uint8 -> (H, W, 3): grey is repeated, alpha (the second or fourth) is dropped."""
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] <= 2:
        return np.repeat(image[:, :, :1], 3, axis=2)
    return image[:, :, :3]


def resize_image(image: Picture, size: tuple[int, int]) -> Picture:
    """Resizes (H, W) or (H, W, C) uint8 to ``size`` = (height, width), bilinear with antialiasing (Pillow's)."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_labels(labels: Picture, size: tuple[int, int]) -> Picture:
    """Resizes (H, W) uint8 ids to ``size`` = (height, width) by nearest neighbour."""
    if labels.shape == size:
        return labels
    return np.asarray(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))


def random_crop(
    image: Picture, labels: Picture | None, size: tuple[int, int], rng: random.Random
) -> tuple[Picture, Picture | None]:
    """Cuts out a window of ``size`` = (height, width) and mirrors it half of the time.

    Draws, in this order: mirror or not, left edge, top edge.

    Args:
        image: (H, W, C) uint8.
        labels: (H, W) uint8 of the same size, or None.
        size: Not larger than the image.
        rng: Source of randomness.

    Raises:
        DataError: The frame is smaller than the window.
    """
    height, width = image.shape[:2]
    if height < size[0] or width < size[1]:
        raise DataError(
            "a frame is smaller than the training picture",
            got=f"{height}x{width}",
            expected=f"at least {size[0]}x{size[1]} (height x width)",
            do="give the data set a larger 'resize', or train with a smaller image_size",
        )
    flip = rng.random() < 0.5
    left = rng.randint(0, width - size[1])
    top = rng.randint(0, height - size[0])
    window = (slice(top, top + size[0]), slice(left, left + size[1]))
    image = image[window]
    labels = labels[window] if labels is not None else None
    if flip:
        image = image[:, ::-1]
        labels = labels[:, ::-1] if labels is not None else None
    return np.ascontiguousarray(image), np.ascontiguousarray(labels) if labels is not None else None
