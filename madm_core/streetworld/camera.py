"""The pinhole camera that all sensors of StreetWorld share: same place, same size, same instant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from madm_core.errors import ConfigError
from madm_core.streetworld.meshes import Floats


@dataclass(frozen=True)
class Camera:
    """An ideal pinhole camera with square pixels and its principal point in the middle.

    Args:
        height, width: Picture size in pixels, at least 8 each.
        field_of_view: Horizontal, degrees, between 20 and 140.

    Raises:
        ConfigError: A value is out of range.
    """

    height: int
    width: int
    field_of_view: float = 75.0

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 8 or not 20 <= self.field_of_view <= 140:
            raise ConfigError(
                "this camera cannot be simulated",
                got=f"{self.height}x{self.width} pixels, {self.field_of_view:g} degrees",
                expected="at least 8x8 pixels (height x width) and a horizontal field of view of 20 to 140 degrees",
            )

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / float(np.tan(np.radians(self.field_of_view) / 2))

    @property
    def matrix(self) -> Floats:
        """(3, 3) camera matrix K; pixel centres have whole-numbered coordinates, as in ROS and OpenCV."""
        return np.array(
            [[self.focal, 0, (self.width - 1) / 2], [0, self.focal, (self.height - 1) / 2], [0, 0, 1]], np.float32
        )

    @cached_property
    def rays(self) -> Floats:
        """(H * W, 3) directions in the vehicle's axes (x forward, y left, z up), 1 long along the optical axis."""
        v, u = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        left = -(u - (self.width - 1) / 2) / self.focal
        up = -(v - (self.height - 1) / 2) / self.focal
        rays: Floats = np.stack([np.ones_like(u), left, up], axis=2).reshape(-1, 3).astype(np.float32)
        return rays

    def finer(self, factor: int) -> Camera:
        """The same view with ``factor`` times as many pixels in each direction."""
        return Camera(self.height * factor, self.width * factor, self.field_of_view)


@dataclass(frozen=True)
class Pose:
    """Where a camera is and where it looks.

    Args:
        position: (3,) float32 metres.
        rotation: (3, 3) float32, from the camera's axes (x forward, y left, z up) to the world's.
    """

    position: Floats
    rotation: Floats

    @classmethod
    def looking(cls, position: tuple[float, float, float], yaw: float, pitch: float, roll: float = 0.0) -> Pose:
        """From angles in radians: yaw to the left, pitch upwards, roll to the right."""
        cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        turn_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        turn_y = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
        turn_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        return cls(np.array(position, np.float32), (turn_z @ turn_y @ turn_x).astype(np.float32))
