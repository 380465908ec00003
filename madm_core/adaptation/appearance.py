"""Changes of a source picture's appearance that keep its shapes: a photograph as other sensors might show it.

A network that has only seen photographs relies on colour and on "the sky is bright"; on depth, thermal or event
pictures both are wrong. Showing it the labelled photographs with random tone curves, inverted, grey or in false colours
leaves it shape and texture to go by. Ours, not the paper's, whose Stable Diffusion prior does part of that work.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

_CONTROL_POINTS = 6
_GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class AppearanceChange:
    """One draw.

    Args:
        grey: Work on the brightness alone.
        curves: One tone curve for all channels, or three. With ``grey`` and three different curves the result is a
            false-colour picture. A curve is its values in [0, 1] at equally spaced inputs from 0 to 1.
    """

    grey: bool
    curves: tuple[tuple[float, ...], ...]


def draw_appearance(rng: random.Random, samples: int, probability: float) -> tuple[AppearanceChange | None, ...]:
    """Draws per sample; None leaves the picture as it is."""
    return tuple(_draw(rng) if rng.random() < probability else None for _ in range(samples))


def _draw(rng: random.Random) -> AppearanceChange:
    kind = rng.choice(("tone", "wild_tone", "grey", "false_colour"))
    monotone = kind == "tone" or (kind == "grey" and rng.random() < 0.5)
    curves = tuple(_draw_curve(rng, monotone) for _ in range(3 if kind == "false_colour" else 1))
    return AppearanceChange(kind in ("grey", "false_colour"), curves)


def _draw_curve(rng: random.Random, monotone: bool) -> tuple[float, ...]:
    values = [rng.random() for _ in range(_CONTROL_POINTS)]
    if monotone:
        values.sort()
    low, high = min(values), max(values)
    # Stretched so that at least half of the range is used: a flat curve would erase the picture.
    floor = rng.uniform(0, 0.25)
    span = rng.uniform(0.5, 1 - floor)
    values = [floor + span * (value - low) / max(high - low, 1e-6) for value in values]
    if rng.random() < 0.5:
        values = [1 - value for value in values]
    return tuple(values)


def change_appearance(images: torch.Tensor, changes: tuple[AppearanceChange | None, ...]) -> torch.Tensor:
    """Applies one change to each of (B, 3, H, W) pictures in [0, 1]; the result is in [0, 1]."""
    changed = [
        image if change is None else _apply(image, change) for image, change in zip(images, changes, strict=True)
    ]
    return torch.stack(changed)


def _apply(image: torch.Tensor, change: AppearanceChange) -> torch.Tensor:
    if change.grey:
        weights = torch.tensor(_GREY_WEIGHTS, device=image.device, dtype=image.dtype)
        image = (weights[:, None, None] * image).sum(0, keepdim=True).expand(3, -1, -1)
    curves = change.curves * (3 // len(change.curves))
    return torch.stack([_through(channel, curve) for channel, curve in zip(image, curves, strict=True)])


def _through(channel: torch.Tensor, curve: tuple[float, ...]) -> torch.Tensor:
    points = torch.tensor(curve, device=channel.device, dtype=channel.dtype)
    position = channel.clamp(0, 1) * (len(curve) - 1)
    left = position.floor().clamp(max=len(curve) - 2).long()
    return torch.lerp(points[left], points[left + 1], position - left)
