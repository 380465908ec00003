"""Time of day and weather: what lights, warms and veils a street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madm_core.errors import ConfigError
from madm_core.streetworld import CONDITIONS
from madm_core.streetworld.meshes import Floats


@dataclass(frozen=True)
class Conditions:
    """Light and weather.

    Args:
        name: One of :data:`madm_core.streetworld.CONDITIONS`.
        sun: Unit vector towards the sun (x forward, y left, z up).
        sun_radiance: Irradiance of perpendicular sun in units in which a white surface by day is about 1.
        sky_radiance: Linear RGB radiance of the sky at the zenith; also the ambient light.
        lamps: Strength of street lamps, head lights and lit windows, 0 to 1.
        fog_density: Extinction per metre.
        wetness: 0 dry to 1 wet: how strongly the ground reflects.
        air_c: Air temperature in degrees Celsius.
        cloud: Share of the sky covered by clouds.
    """

    name: str
    sun: tuple[float, float, float]
    sun_radiance: float
    sky_radiance: tuple[float, float, float]
    lamps: float
    fog_density: float
    wetness: float
    air_c: float
    cloud: float

    @classmethod
    def named(cls, name: str, seed: int) -> Conditions:
        """Draws the sun's place and the weather's details from a seed.

        Raises:
            ConfigError: The name is none of :data:`CONDITIONS`.
        """
        if name not in CONDITIONS:
            raise ConfigError("unknown conditions", got=repr(name), expected=", ".join(CONDITIONS))
        rng = np.random.default_rng([seed, 2])
        azimuth = float(rng.uniform(0, 2 * np.pi))
        elevation = np.radians(float(rng.uniform(6, 10) if name == "dusk" else rng.uniform(25, 60)))
        sun = (
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
        )
        air, cloud = float(rng.uniform(8, 26)), float(rng.uniform(0.1, 0.6))
        if name == "day":
            return cls(name, sun, 2.4, (0.32, 0.42, 0.62), 0.0, 0.0004, 0.0, air, cloud)
        if name == "dusk":
            return cls(name, sun, 0.5, (0.16, 0.15, 0.2), 0.35, 0.001, 0.0, air - 3, cloud)
        if name == "night":
            return cls(name, sun, 0.0, (0.004, 0.005, 0.009), 1.0, 0.0008, float(rng.random() < 0.3), air - 7, cloud)
        if name == "fog":
            return cls(name, sun, 0.15, (0.5, 0.52, 0.55), 0.1, float(rng.uniform(0.02, 0.04)), 0.3, air - 8, 1.0)
        return cls(name, sun, 0.1, (0.38, 0.41, 0.46), 0.1, 0.004, 1.0, air - 6, 1.0)

    @property
    def daylight(self) -> float:
        """1 by day, 0 at night."""
        return 1.0 - self.lamps

    def sky(self, directions: Floats, cloud_noise: Floats) -> Floats:
        """Radiance of the sky.

        Args:
            directions: (N, 3) unit vectors.
            cloud_noise: (N,) smooth noise in 0..1 that places the clouds.

        Returns:
            (N, 3) linear RGB.
        """
        up = np.clip(directions[:, 2:3], 0.0, 1.0)
        zenith = np.array(self.sky_radiance, np.float32)
        grey = zenith.mean()
        horizon = 0.35 * zenith + 1.25 * grey
        if self.name == "dusk":
            toward = np.clip(directions @ np.array(self.sun, np.float32), 0, 1)[:, None] ** 3
            horizon = horizon + toward * np.array([0.9, 0.42, 0.16], np.float32)
        sky = horizon + (zenith - horizon) * np.sqrt(up)
        cover = np.clip((cloud_noise[:, None] - (1 - self.cloud)) * 4, 0, 1) * np.clip(up * 6, 0, 1)
        sky = sky + cover * (1.5 * grey - sky) * 0.8
        result: Floats = sky.astype(np.float32)
        return result
