"""How different two colours look, to people with normal colour vision and to people without one kind of cone.

Sources: sRGB (IEC 61966-2-1). Protanopia and deuteranopia after Machado, Oliveira and Fernandes, "A
Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 2009, severity 1.0. Tritanopia, where
that model is known to be weak, after Brettel, Vienot and Mollon, "Computerized simulation of color appearance for
dichromats", JOSA A 1997, with the matrices that DaltonLens (public domain) derived for sRGB. CIEDE2000 after Sharma, Wu
and Dalal, "The CIEDE2000 Color-Difference Formula", Color Research and Application 2005.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MACHADO = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}
"""Matrices on linear sRGB."""

_BRETTEL_TRITANOPIA = (
    ((1.01277, 0.13548, -0.14826), (-0.01243, 0.86812, 0.14431), (0.07589, 0.80500, 0.11911)),
    ((0.93678, 0.18979, -0.12657), (0.06154, 0.81526, 0.12320), (-0.37562, 1.12767, 0.24796)),
)
"""Matrices on linear sRGB on either side of the plane through the origin with the normal below."""

_BRETTEL_NORMAL = (0.03901, -0.02788, -0.01113)

VISIONS = ("normal", "protanopia", "deuteranopia", "tritanopia")
"""Ways of seeing that :func:`seen_as` knows."""

_XYZ_FROM_LINEAR = np.array(
    ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
)
_WHITE = _XYZ_FROM_LINEAR.sum(axis=1)
"""D65, the white of sRGB."""


def linear_light(colors: npt.NDArray[Any]) -> Floats:
    """sRGB values 0..255 -> light intensities in [0, 1], shape kept."""
    values = np.asarray(colors, np.float64) / 255
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4), np.float64)


def seen_as(colors: npt.NDArray[Any], vision: str) -> Floats:
    """What a colour is to an observer, as linear sRGB.

    Args:
        colors: (..., 3) sRGB of 0..255.
        vision: One of :data:`VISIONS`.

    Returns:
        (..., 3) float64 in [0, 1].
    """
    light = linear_light(colors)
    if vision == "normal":
        return light
    if vision == "tritanopia":
        one, other = (light @ np.array(matrix).T for matrix in _BRETTEL_TRITANOPIA)
        side = light @ np.array(_BRETTEL_NORMAL) >= 0
        seen = np.where(side[..., None], one, other)
    else:
        seen = light @ np.array(_MACHADO[vision]).T
    return np.asarray(np.clip(seen, 0, 1), np.float64)


def lab(light: Floats) -> Floats:
    """Linear sRGB (..., 3) -> CIELAB (..., 3) with the white D65."""
    ratio = light @ _XYZ_FROM_LINEAR.T / _WHITE
    curve = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(curve, -1, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def ciede2000(first: Floats, second: Floats) -> Floats:
    """CIEDE2000 colour difference; 1 is about what a trained eye notices side by side.

    Args:
        first, second: CIELAB (..., 3), broadcast against each other.

    Returns:
        The differences, (...).
    """
    lightness_1, a_1, b_1 = np.moveaxis(first, -1, 0)
    lightness_2, a_2, b_2 = np.moveaxis(second, -1, 0)
    mean_chroma = (np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))
    chroma_1, chroma_2 = np.hypot(a_1 * stretch, b_1), np.hypot(a_2 * stretch, b_2)
    hue_1 = np.degrees(np.arctan2(b_1, a_1 * stretch)) % 360
    hue_2 = np.degrees(np.arctan2(b_2, a_2 * stretch)) % 360
    colorless = chroma_1 * chroma_2 == 0
    turn = np.where(colorless, 0, (hue_2 - hue_1 + 180) % 360 - 180)
    hue_difference = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(turn / 2))
    hue = np.where(colorless, hue_1 + hue_2, (hue_1 + turn / 2) % 360)
    lightness, chroma = (lightness_1 + lightness_2) / 2, (chroma_1 + chroma_2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    light_scale = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    chroma_scale, hue_scale = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    rotation = -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))) * 2
    rotation = rotation * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    by_light = (lightness_2 - lightness_1) / light_scale
    by_chroma, by_hue = (chroma_2 - chroma_1) / chroma_scale, hue_difference / hue_scale
    return np.asarray(np.sqrt(by_light**2 + by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue), np.float64)


def smallest_difference(colors: npt.NDArray[Any], vision: str) -> float:
    """The CIEDE2000 difference of the two colours of (N, 3) sRGB that look most alike to an observer."""
    seen = lab(seen_as(colors, vision))
    differences = ciede2000(seen[:, None], seen[None])
    return float(differences[~np.eye(len(seen), dtype=bool)].min())
