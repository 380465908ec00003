"""Strong augmentation of the mixed picture: colour jitter and Gaussian blur (algorithm section 8.2).

What is drawn and what is done with it are kept apart: :func:`draw_strong_augmentation` only draws, so that a step is a
pure function of its batch and its draws.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

ColorJitterKind = Literal["kornia060", "standard"]


@dataclass(frozen=True)
class JitterFactors:
    """One draw of the colour jitter.

    Args:
        brightness, contrast, saturation: Factors around 1.
        hue: Shift in turns of the colour circle (0.5 = the opposite hue).
        order: The order of the four operations: 0 brightness, 1 contrast, 2 saturation, 3 hue.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[int, ...] = (0, 1, 2, 3)


@dataclass(frozen=True)
class StrongAugmentation:
    """What happens to one picture: None = this operation does not happen."""

    jitter: JitterFactors | None = None
    blur_sigma: float | None = None


def draw_strong_augmentation(
    rng: random.Random,
    samples: int,
    *,
    jitter_probability: float,
    jitter_strength: float,
    blur_probability: float,
) -> tuple[StrongAugmentation, ...]:
    """Draws for a batch: whether to jitter and to blur is decided once for all its samples, the amounts per sample."""
    jitter = rng.random() < jitter_probability
    blur = rng.random() < blur_probability
    return tuple(
        StrongAugmentation(
            _draw_jitter(rng, jitter_strength) if jitter else None, rng.uniform(0.15, 1.15) if blur else None
        )
        for _ in range(samples)
    )


def _draw_jitter(rng: random.Random, strength: float) -> JitterFactors:
    brightness, contrast, saturation = (rng.uniform(1 - strength, 1 + strength) for _ in range(3))
    return JitterFactors(
        brightness, contrast, saturation, rng.uniform(-strength, strength), tuple(rng.sample(range(4), 4))
    )


def apply_strong_augmentation(
    images: torch.Tensor, augmentations: tuple[StrongAugmentation, ...], kind: ColorJitterKind
) -> torch.Tensor:
    """Augments (B, 3, H, W) pictures in [0, 1], each with its own draw; the result stays in [0, 1]."""
    augmented = []
    for image, augmentation in zip(images, augmentations, strict=True):
        if augmentation.jitter is not None:
            image = color_jitter(image, augmentation.jitter, kind)
        if augmentation.blur_sigma is not None:
            image = gaussian_blur(image, augmentation.blur_sigma)
        augmented.append(image)
    return torch.stack(augmented)


def color_jitter(image: torch.Tensor, factors: JitterFactors, kind: ColorJitterKind) -> torch.Tensor:
    """Changes brightness, contrast, saturation and hue of a (3, H, W) picture in [0, 1], in the drawn order.

    Args:
        image: (3, H, W) float in [0, 1].
        factors: The draw.
        kind: ``"kornia060"``: as kornia 0.6.0, which the reference ran on (brightness is added, contrast scales about
            black, saturation scales HSV's S). ``"standard"``: as torchvision and today's kornia (brightness scales,
            contrast blends with the mean grey, saturation with the grey picture).
    """
    operations: tuple[Callable[[torch.Tensor], torch.Tensor], ...]
    if kind == "kornia060":
        operations = (
            lambda x: x + (factors.brightness - 1),
            lambda x: x * factors.contrast,
            lambda x: _scale_saturation(x, factors.saturation),
            lambda x: _shift_hue(x, factors.hue),
        )
    else:
        operations = (
            lambda x: x * factors.brightness,
            lambda x: torch.lerp(_grey(x).mean(), x, factors.contrast),
            lambda x: torch.lerp(_grey(x).expand_as(x), x, factors.saturation),
            lambda x: _shift_hue(x, factors.hue),
        )
    for index in factors.order:
        image = operations[index](image).clamp(0, 1)
    return image


def _grey(image: torch.Tensor) -> torch.Tensor:
    red, green, blue = image.unbind(0)
    return (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(0)


def _to_hsv(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hue in turns [0, 1), saturation and value of a (3, H, W) picture, each (H, W)."""
    value, strongest = image.max(0)
    chroma = value - image.min(0).values
    safe_chroma = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    red, green, blue = image.unbind(0)
    sextants = torch.stack((green - blue, blue - red + 2 * safe_chroma, red - green + 4 * safe_chroma)) / safe_chroma
    hue = (sextants.gather(0, strongest.unsqueeze(0)).squeeze(0) / 6) % 1
    return hue, chroma / (value + 1e-8), value


def _from_hsv(hue: torch.Tensor, saturation: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    channels = []
    for offset in (5, 3, 1):
        sextant = (offset + 6 * hue) % 6
        channels.append(value - value * saturation * torch.minimum(sextant, 4 - sextant).clamp(0, 1))
    return torch.stack(channels)


def _scale_saturation(image: torch.Tensor, factor: float) -> torch.Tensor:
    hue, saturation, value = _to_hsv(image)
    return _from_hsv(hue, (saturation * factor).clamp(0, 1), value)


def _shift_hue(image: torch.Tensor, turns: float) -> torch.Tensor:
    hue, saturation, value = _to_hsv(image)
    return _from_hsv((hue + turns) % 1, saturation, value)


def blur_kernel_size(pixels: int) -> int:
    """Width of the blur kernel along a side of ``pixels``: the odd number near a tenth of it (51 for 512)."""
    tenth = math.ceil(0.1 * pixels)
    return math.floor(tenth - 0.5 + tenth % 2)


def gaussian_blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blurs a (C, H, W) picture with a separable Gaussian of ``sigma`` pixels and mirrored borders."""
    blurred = image.unsqueeze(1)
    for axis, pixels in ((2, image.shape[1]), (3, image.shape[2])):
        size = blur_kernel_size(pixels)
        offsets = torch.arange(size, dtype=image.dtype, device=image.device) - size // 2
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        kernel = kernel / kernel.sum()
        shape = (1, 1, size, 1) if axis == 2 else (1, 1, 1, size)
        border = (0, 0, size // 2, size // 2) if axis == 2 else (size // 2, size // 2, 0, 0)
        blurred = F.conv2d(F.pad(blurred, border, mode="reflect"), kernel.reshape(shape))
    return blurred.squeeze(1)
