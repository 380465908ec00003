"""What surfaces are made of: their class, their colour and their temperature.

Emissivities are those of common tables for the 8-14 um band (e.g. FLIR, "Emissivity of common materials"); temperature
offsets are typical of a dry day with 20 C air, simplified to three numbers a material.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from madm_core.labels import MADM11


class Material(IntEnum):
    """Index into the tables of this module."""

    SKY = 0
    ASPHALT = 1
    MARKING = 2
    PAVING = 3
    CURB = 4
    FACADE = 5
    WINDOW = 6
    DOOR = 7
    ROOF = 8
    WALL = 9
    FENCE = 10
    POLE = 11
    LANTERN = 12
    SIGN = 13
    TRAFFIC_LIGHT = 14
    LEAVES = 15
    BARK = 16
    GRASS = 17
    PAINT = 18
    CAR_GLASS = 19
    TYRE = 20
    CAR_LIGHT = 21
    SKIN = 22
    CLOTH = 23


class _Properties(NamedTuple):
    class_name: str
    emissivity: float
    sun_gain: float  # K above the air in full, perpendicular sun
    shade: float  # K above the air by day, in the shade
    night: float  # K above the air at night
    reflectance: float  # share of mirror-like reflection at a grazing angle


_TABLE: dict[Material, _Properties] = {
    Material.SKY: _Properties("sky", 1.0, 0, 0, 0, 0),
    Material.ASPHALT: _Properties("road", 0.95, 22, 4, 5, 0.25),
    Material.MARKING: _Properties("road", 0.92, 15, 3, 4, 0.25),
    Material.PAVING: _Properties("sidewalk", 0.92, 13, 1, 2, 0.15),
    Material.CURB: _Properties("sidewalk", 0.93, 12, 1, 2.5, 0.1),
    Material.FACADE: _Properties("building", 0.93, 14, 0, 3, 0.05),
    Material.WINDOW: _Properties("building", 0.84, 3, -1, 4.5, 0.8),
    Material.DOOR: _Properties("building", 0.9, 10, 0, 2, 0.1),
    Material.ROOF: _Properties("building", 0.9, 25, 1, -3, 0.05),
    Material.WALL: _Properties("wall", 0.93, 17, 1, 4, 0.03),
    Material.FENCE: _Properties("fence", 0.9, 12, 0, -1, 0.03),
    Material.POLE: _Properties("pole", 0.8, 9, -1, -2, 0.15),
    Material.LANTERN: _Properties("pole", 0.85, 9, 2, 18, 0.2),
    Material.SIGN: _Properties("traffic sign", 0.85, 6, -2, -4, 0.2),
    Material.TRAFFIC_LIGHT: _Properties("traffic sign", 0.92, 16, 6, 7, 0.1),
    Material.LEAVES: _Properties("vegetation", 0.97, 4, -1, -0.5, 0.02),
    Material.BARK: _Properties("vegetation", 0.95, 6, 0, 1, 0.02),
    Material.GRASS: _Properties("vegetation", 0.97, 6, -1.5, -2.5, 0.02),
    Material.PAINT: _Properties("car", 0.9, 18, 1, -1, 0.5),
    Material.CAR_GLASS: _Properties("car", 0.85, 8, 1, 0, 0.8),
    Material.TYRE: _Properties("car", 0.95, 6, 8, 9, 0.02),
    Material.CAR_LIGHT: _Properties("car", 0.9, 8, 3, 5, 0.5),
    Material.SKIN: _Properties("person", 0.98, 1, 12, 10, 0.02),
    Material.CLOTH: _Properties("person", 0.95, 5, 6, 5, 0.02),
}


def _column(name: str) -> npt.NDArray[np.float32]:
    return np.array([getattr(_TABLE[material], name) for material in Material], np.float32)


CLASS_OF_MATERIAL: npt.NDArray[np.uint8] = np.array(
    [MADM11.names.index(_TABLE[material].class_name) for material in Material], np.uint8
)
"""(M,) uint8: the ``madm11`` class id of each material."""

EMISSIVITY = _column("emissivity")
"""(M,) long-wave infrared emissivity."""

SUN_GAIN_K = _column("sun_gain")
"""(M,) warming by full, perpendicular sun, in kelvin."""

SHADE_OFFSET_K = _column("shade")
"""(M,) temperature above the air by day in the shade, in kelvin."""

NIGHT_OFFSET_K = _column("night")
"""(M,) temperature above the air at night, in kelvin."""

REFLECTANCE = _column("reflectance")
"""(M,) strength of mirror-like reflection (0 to 1)."""
