"""Picture styles: what lets a text-to-image model see the same street as a photo, a sketch or a false-colour picture.

Stable Diffusion has seen pictures of every kind, and MADM's premise is that this variety carries over to sensors that
are not cameras for visible light. These styles give the small base of ours a variety of its own, made from colour
pictures alone: no depth, thermal or event picture is among them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]
_Style = Callable[[Picture, np.random.Generator], Picture]


def _gray(picture: Picture) -> Picture:
    gray: Picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return gray


def _in_color_map(gray: Picture, color_map: int) -> Picture:
    colored = cv2.applyColorMap((gray * 255).astype(np.uint8), color_map)
    return np.asarray(colored[..., ::-1] / 255, np.float32)


def _edges(picture: Picture) -> Picture:
    """Gradient magnitude, 0 = flat."""
    gray = cv2.GaussianBlur(_gray(picture), (3, 3), 0)
    x, y = (cv2.Sobel(gray, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0))
    return np.asarray(np.clip(np.hypot(x, y), 0, 1), np.float32)


def _photo(picture: Picture, rng: np.random.Generator) -> Picture:
    return picture


def _black_and_white(picture: Picture, rng: np.random.Generator) -> Picture:
    return _three(_gray(picture))


def _negative(picture: Picture, rng: np.random.Generator) -> Picture:
    return 1 - picture


def _sketch(picture: Picture, rng: np.random.Generator) -> Picture:
    return _three(np.clip(1 - 1.5 * _edges(picture), 0, 1))


def _lines(picture: Picture, rng: np.random.Generator) -> Picture:
    return _three(np.clip(1.5 * _edges(picture), 0, 1))


def _heat_map(picture: Picture, rng: np.random.Generator) -> Picture:
    maps = (cv2.COLORMAP_INFERNO, cv2.COLORMAP_HOT, cv2.COLORMAP_JET, cv2.COLORMAP_PLASMA)
    return _in_color_map(_gray(picture), int(rng.choice(maps)))


def _false_color(picture: Picture, rng: np.random.Generator) -> Picture:
    mixing = rng.dirichlet((0.6, 0.6, 0.6), 3).astype(np.float32)
    mixed = picture @ mixing.T
    flipped = rng.random(3) < 0.4
    return np.where(flipped, 1 - mixed, mixed).astype(np.float32)


def _poster(picture: Picture, rng: np.random.Generator) -> Picture:
    levels = int(rng.integers(3, 6))
    smooth = cv2.bilateralFilter(picture, 5, 0.2, 3)
    return np.asarray(np.round(smooth * (levels - 1)) / (levels - 1), np.float32)


def _relief(picture: Picture, rng: np.random.Generator) -> Picture:
    gray = _gray(picture)
    shift_x, shift_y = int(rng.choice((-1, 1))), int(rng.choice((-1, 0, 1)))
    return _three(np.clip(0.5 + 2 * (gray - np.roll(gray, (shift_y, shift_x), (0, 1))), 0, 1))


def _strange_exposure(picture: Picture, rng: np.random.Generator) -> Picture:
    """A smooth random tone curve, not always rising, as in solarised prints."""
    knots = rng.random(5)
    curve = np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, 5), knots).astype(np.float32)
    return _three(curve[(_gray(picture) * 255).astype(np.uint8)])


def _three(gray: npt.NDArray[np.float32]) -> Picture:
    return np.repeat(np.asarray(gray, np.float32)[..., None], 3, axis=2)


STYLES: dict[str, _Style] = {
    "photo": _photo,
    "black and white photo": _black_and_white,
    "negative": _negative,
    "pencil sketch": _sketch,
    "chalk lines": _lines,
    "heat map": _heat_map,
    "false color": _false_color,
    "poster": _poster,
    "relief": _relief,
    "solarised print": _strange_exposure,
}
"""Style name, as captions say it -> function of an RGB picture (H, W, 3) float32 in [0, 1] and a random generator."""


def in_style(picture: npt.NDArray[np.uint8], style: str, rng: np.random.Generator) -> Picture:
    """Draws an (H, W, 3) uint8 RGB picture in a style of :data:`STYLES`: (H, W, 3) float32 in [0, 1]."""
    return STYLES[style](picture.astype(np.float32) / np.float32(255), rng)
