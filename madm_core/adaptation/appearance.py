"""Changes of a source picture's appearance that keep its shapes: a photograph as other sensors might show it.

A network that has only seen photographs relies on colour and on "the sky is bright"; on depth, thermal or event
pictures both are wrong. Showing it the labelled photographs with random tone curves, inverted, grey, in false colours,
or as the change of brightness that a small movement makes, leaves it shape and texture to go by. Ours, not the paper's,
whose Stable Diffusion prior does part of that work.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

_CONTROL_POINTS = 6
_MOVEMENT = (0.01, 0.03)
"""How far a picture is moved, in shares of its height: 0.6 to 2 pixels of 64, 5 to 15 of 512."""
_GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class AppearanceChange:
    """One draw.

    Args:
        grey: Work on the brightness alone.
        curves: One tone curve for all channels, or three. With ``grey`` and three different curves the result is a
            false-colour picture. A curve is its values in [0, 1] at equally spaced inputs from 0 to 1.
        movements: Not empty: each channel becomes, before its curve, the difference of brightness between the picture
            and itself moved by one of these three (down, right), in shares of the height; 0.5 where nothing changes, as
            event cameras show a street (Gallego et al. 2022, the linearised event generation model).
    """

    grey: bool
    curves: tuple[tuple[float, ...], ...]
    movements: tuple[tuple[float, float], ...] = ()


def draw_appearance(rng: random.Random, samples: int, probability: float) -> tuple[AppearanceChange | None, ...]:
    """Draws per sample; None leaves the picture as it is."""
    return tuple(_draw(rng) if rng.random() < probability else None for _ in range(samples))


def _draw(rng: random.Random) -> AppearanceChange:
    kind = rng.choice(("tone", "wild_tone", "grey", "false_colour", "movement"))
    if kind == "movement":
        return _draw_movement(rng)
    monotone = kind == "tone" or (kind == "grey" and rng.random() < 0.5)
    curves = tuple(_draw_curve(rng, monotone) for _ in range(3 if kind == "false_colour" else 1))
    return AppearanceChange(kind in ("grey", "false_colour"), curves)


def _draw_movement(rng: random.Random) -> AppearanceChange:
    """Three steps along one way, as the bins of a voxel grid are; the opposite way would invert the picture."""
    direction, length = rng.uniform(0, 2 * math.pi), rng.uniform(*_MOVEMENT)
    steps = [length * rng.uniform(0.5, 1.0) for _ in range(3)]
    movements = tuple((step * math.sin(direction), step * math.cos(direction)) for step in steps)
    return AppearanceChange(True, ((0.0, 1.0),), movements)


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
    if change.movements:
        image = torch.stack([_moved(channel, way) for channel, way in zip(image, change.movements, strict=True)])
    curves = change.curves * (3 // len(change.curves))
    return torch.stack([_through(channel, curve) for channel, curve in zip(image, curves, strict=True)])


def _moved(channel: torch.Tensor, way: tuple[float, float]) -> torch.Tensor:
    """Difference between an (H, W) channel and itself moved, about 0.5; three deviations fill the range."""
    height, width = channel.shape
    down, right = (share * height for share in way)
    longest = max(abs(down), abs(right), 1e-6)
    scale = max(1.0, 1.0 / longest)  # a movement of less than a pixel would leave a blank picture
    down, right = round(down * scale), round(right * scale)
    margin = max(abs(down), abs(right))
    around = pad(channel[None, None], (margin,) * 4, mode="replicate")[0, 0]
    difference = channel - around[margin - down :, margin - right :][:height, :width]
    return (0.5 + difference / (6 * difference.std() + 1e-6)).clamp(0, 1)


def _through(channel: torch.Tensor, curve: tuple[float, ...]) -> torch.Tensor:
    points = torch.tensor(curve, device=channel.device, dtype=channel.dtype)
    position = channel.clamp(0, 1) * (len(curve) - 1)
    left = position.floor().clamp(max=len(curve) - 2).long()
    return torch.lerp(points[left], points[left + 1], position - left)
