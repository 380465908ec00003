"""What an RGB, a depth and a thermal camera make of a rendering. Each model is short; its source stands beside it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.streetworld.materials import EMISSIVITY, NIGHT_OFFSET_K, SHADE_OFFSET_K, SUN_GAIN_K, Material
from madm_core.streetworld.meshes import Floats
from madm_core.streetworld.noise import value_noise
from madm_core.streetworld.rendering import Rendering

KELVIN = 273.15


@dataclass(frozen=True)
class RgbSensor:
    """A colour camera with automatic exposure.

    Photon and read noise follow the EMVA 1288 model: variance = signal + read noise squared, in electrons.

    Args:
        target: Mean grey (linear, 0 to 1) that the exposure aims at.
        full_well: Electrons of a white pixel at gain 1.
        read_noise: Electrons.
        max_gain: The longest exposure in units of the daylight one: at night pictures stay darker and noisier.
        blur: Standard deviation of the lens' point spread, in pixels.
    """

    target: float = 0.17
    full_well: float = 9000.0
    read_noise: float = 6.0
    max_gain: float = 14.0
    blur: float = 0.45

    def capture(self, rendering: Rendering, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, gamma 2.2."""
        light = cv2.GaussianBlur(rendering.radiance, (0, 0), self.blur) if self.blur > 0 else rendering.radiance
        mean = float(np.exp(np.log(light.mean(axis=2) + 1e-4).mean()))
        gain = min(self.target / mean, self.max_gain)
        electrons = light * (gain * self.full_well)
        # A long exposure collects no more electrons than a short one in daylight: the gain multiplies noise as well.
        amplification = max(gain, 1.0)
        deviation = np.sqrt(np.maximum(electrons, 0) * amplification + (self.read_noise * amplification) ** 2)
        electrons = electrons + deviation * rng.standard_normal(electrons.shape, np.float32)
        linear = np.clip(electrons / self.full_well, 0, None)
        curve = 1.0 - np.exp(-1.6 * linear)  # soft highlights
        picture: npt.NDArray[np.uint8] = (255 * np.clip(curve, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)
        return picture


@dataclass(frozen=True)
class DepthSensor:
    """A stereo depth camera.

    The error of a triangulated distance grows with its square, sigma = z^2 * sigma_d / (f * b) (e.g. Keselman et al.,
    "Intel RealSense stereoscopic depth cameras", CVPRW 2017); the holes are where stereo fails: beside near edges, on
    glass and at grazing angles.

    Args:
        min_m, max_m: Range; beyond it nothing is measured.
        baseline_m: Distance of the two cameras.
        disparity_noise: Standard deviation in pixels of a 640 pixels wide picture.
        speckle: Share of pixels lost at random.
    """

    min_m: float = 0.5
    max_m: float = 60.0
    baseline_m: float = 0.25
    disparity_noise: float = 0.08
    speckle: float = 0.004

    def measure(self, rendering: Rendering, rng: np.random.Generator) -> Floats:
        """(H, W) float32 metres along the optical axis, NaN where nothing was measured."""
        true = rendering.depth
        height, width = true.shape
        scale = 640.0 / width  # the sensor itself has 640 columns, whatever size it delivers
        finite = np.isfinite(true)
        depth = np.where(finite, true, self.max_m * 2)
        spread = depth**2 * self.disparity_noise / (rendering.focal * scale * self.baseline_m)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        smooth = value_noise(columns * 0.35, rows * 0.35, int(rng.integers(2**31))) * 2 - 1
        depth = depth + spread * (0.6 * rng.standard_normal(true.shape, np.float32) + 0.9 * smooth)
        hole = ~finite | (depth < self.min_m) | (depth > self.max_m)
        hole |= rng.random(true.shape, np.float32) < self.speckle
        glass = (rendering.material == Material.WINDOW) | (rendering.material == Material.CAR_GLASS)
        patches = value_noise(columns * 0.2, rows * 0.2, int(rng.integers(2**31)))
        hole |= glass & (patches > 0.45)
        hole |= rendering.facing < 0.025
        # The right-hand camera cannot see what lies within the disparity's width to the left of a nearer edge.
        disparity = rendering.focal * self.baseline_m / np.maximum(np.where(finite, true, 1e6), 0.1)
        for step in range(1, int(np.ceil(min(float(disparity.max()), 24.0))) + 1):
            nearer = np.zeros_like(disparity)
            nearer[:, :-step] = disparity[:, step:]
            hole |= nearer - disparity > step
        return np.where(hole, np.nan, depth).astype(np.float32)


@dataclass(frozen=True)
class ThermalSensor:
    """An uncooled long-wave infrared camera with raw 14-bit counts.

    A surface sends out emissivity * sigma T^4 and mirrors the sky for the rest; counts are linear in that power
    (Vollmer and Moellmann, "Infrared Thermal Imaging", 2nd ed., chapter 1). Noise is that of a 50 mK microbolometer
    with the streaks of its columns; the counts drift as its housing warms until a shutter correction, every
    ``shutter_s`` seconds.

    Args:
        netd_k: Noise-equivalent temperature difference.
        blur: Standard deviation of the optics' point spread, in pixels.
        counts_per_k: At 20 degrees Celsius.
        drift_counts: Largest drift.
        shutter_s: Seconds between two corrections.
    """

    netd_k: float = 0.05
    blur: float = 0.7
    counts_per_k: float = 42.0
    drift_counts: float = 60.0
    shutter_s: float = 30.0

    def temperature(self, rendering: Rendering) -> Floats:
        """(H, W) float32 kelvin: apparent temperature of what each pixel sees."""
        conditions = rendering.conditions
        material, day = rendering.material, conditions.daylight
        air = conditions.air_c + KELVIN
        surface = air + day * SHADE_OFFSET_K[material] + (1 - day) * NIGHT_OFFSET_K[material]
        sunshine = min(conditions.sun_radiance / 2.4, 1.0)
        surface = surface + SUN_GAIN_K[material] * rendering.sun * sunshine + rendering.warmth
        # A person is warm whatever the weather: skin near 32 C, clothing between skin and air.
        surface = np.where(material == Material.SKIN, 0.8 * (32 + KELVIN) + 0.2 * air, surface)
        clear = 1.0 - conditions.cloud
        sky = air - (8 + 42 * clear * np.sqrt(np.clip(rendering.up, 0.0, 1.0)))
        emissivity = EMISSIVITY[material]
        power = emissivity * surface**4 + (1 - emissivity) * (air - 12 - 20 * clear) ** 4
        distance = np.where(np.isfinite(rendering.depth), rendering.depth, 0.0)
        clarity = np.exp(-(0.0008 + 0.25 * conditions.fog_density) * distance)
        power = power * clarity + air**4 * (1 - clarity)
        power = np.where(material == Material.SKY, sky**4, power)
        apparent: Floats = (power**0.25).astype(np.float32)
        return apparent

    def capture(
        self, rendering: Rendering, rng: np.random.Generator, time: float = 0.0, serial: int = 0
    ) -> npt.NDArray[np.uint16]:
        """(H, W) uint16 counts of 0..16383.

        Args:
            rendering: The instant.
            rng: Of the temporal noise.
            time: Seconds since the start, for the drift.
            serial: Which camera: seeds the fixed pattern.
        """
        kelvin = self.temperature(rendering)
        if self.blur > 0:
            kelvin = cv2.GaussianBlur(kelvin, (0, 0), self.blur)
        reference = 20 + KELVIN
        counts = 8000 + self.counts_per_k * (kelvin**4 - reference**4) / (4 * reference**3)
        fixed = np.random.default_rng([serial, 5])
        height, width = counts.shape
        columns = 1.2 * fixed.standard_normal(width, np.float32)
        pixels = 0.8 * fixed.standard_normal((height, width), np.float32)
        drift = self.drift_counts * ((time % self.shutter_s) / self.shutter_s) ** 0.5
        noise = self.netd_k * self.counts_per_k * rng.standard_normal(counts.shape, np.float32)
        picture: npt.NDArray[np.uint16] = np.clip(counts + columns + pixels + drift + noise, 0, 16383).astype(np.uint16)
        return picture
