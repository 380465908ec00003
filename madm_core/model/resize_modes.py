"""How an image of any size becomes images of the network's size, and its logits one map again.

Every mode takes (1, 3, H, W) images and returns (1, K, h, w) logits that cover exactly the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

ResizeMode = Literal["reference", "keep_aspect", "sliding_window"]
LogitsFunction = Callable[[Tensor], Tensor]
"""(B, 3, h, w) images in [0, 1] -> (B, K, h, w) logits."""

_MULTIPLE = 64
"""Image sides at which every level of the backbone has whole pixels: 8 (autoencoder) times 8 (U-Net)."""
_OVERLAP = 0.25
"""Least share of a window that the next one covers again."""


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, h, w) images bilinearly, with a wider filter when shrinking, as Pillow does."""
    if image.shape[-2:] == torch.Size(size):
        return image
    return interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def squashed_logits(image: Tensor, size: tuple[int, int], network: LogitsFunction) -> Tensor:
    """``reference``: the whole image squashed to the network's size, whatever its aspect (algorithm.md 13)."""
    return network(resize_image(image, size))


def letterboxed_logits(image: Tensor, size: tuple[int, int], network: LogitsFunction) -> Tensor:
    """``keep_aspect``: the image scaled to fit the network's size and extended to multiples of 64 by its edge pixels.

    The extension is cut off the logits again. The canvas is not larger than it must be: a 4:3 image on a 512x512
    network is 384x512 pixels, for which the network needs a quarter less work.
    """
    height, width = image.shape[-2:]
    scale = min(size[0] / height, size[1] / width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    canvas = tuple(math.ceil(side / _MULTIPLE) * _MULTIPLE for side in inner)
    top, left = ((outer - side) // 2 for outer, side in zip(canvas, inner, strict=True))
    borders = (left, canvas[1] - inner[1] - left, top, canvas[0] - inner[0] - top)
    logits = network(pad(resize_image(image, inner), borders, mode="replicate"))
    return logits[:, :, top : top + inner[0], left : left + inner[1]]


def windowed_logits(image: Tensor, size: tuple[int, int], network: LogitsFunction) -> Tensor:
    """``sliding_window``: the image scaled so that it just covers the network's size, and windows of that size over it.

    Windows overlap by a quarter or more. Where they do, their logits are averaged with weights that fall linearly
    towards a window's border, so that no seam shows. This is the scale at which training crops are taken.
    """
    height, width = image.shape[-2:]
    scale = max(size[0] / height, size[1] / width)
    scaled = resize_image(image, (max(size[0], round(height * scale)), max(size[1], round(width * scale))))
    rows, columns = (_window_starts(scaled.shape[-2 + axis], size[axis]) for axis in (0, 1))
    weight = _ramp(size[0], image)[:, None] * _ramp(size[1], image)
    total: Tensor | None = None
    weights = torch.zeros_like(scaled[:, :1])
    for top in rows:
        for left in columns:
            window = (..., slice(top, top + size[0]), slice(left, left + size[1]))
            logits = network(scaled[window])
            if total is None:
                total = logits.new_zeros((1, logits.shape[1], *scaled.shape[-2:]))
            total[window] += logits * weight
            weights[window] += weight
    assert total is not None  # there is always a window
    return total / weights


def _window_starts(length: int, window: int) -> list[int]:
    """First pixels of windows that cover ``length`` evenly."""
    if length <= window:
        return [0]
    count = 1 + math.ceil((length - window) / (window * (1 - _OVERLAP)))
    return [round(index * (length - window) / (count - 1)) for index in range(count)]


def _ramp(length: int, like: Tensor) -> Tensor:
    """(length,) weights that rise from the border to the middle and are nowhere 0."""
    position = torch.arange(length, device=like.device, dtype=torch.float32)
    return torch.minimum(position + 1, length - position)


RESIZE_MODES: dict[ResizeMode, Callable[[Tensor, tuple[int, int], LogitsFunction], Tensor]] = {
    "reference": squashed_logits,
    "keep_aspect": letterboxed_logits,
    "sliding_window": windowed_logits,
}
