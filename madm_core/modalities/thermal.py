"""Thermal cameras: 8-bit pictures, 16-bit counts or temperatures -> picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.modalities.base import EncodedImage, Modality, gray_to_rgb


@dataclass
class ThermalModality(Modality):
    """Thermal radiation as a grey picture, warm = bright.

    Raw arrays are (H, W): uint8 (the camera's own gain control; used as it is), uint16 raw counts, or float32 (any
    linear unit; NaN and infinities are invalid and masked). 16-bit and float values are mapped linearly to [0, 1].

    Args:
        range: ``percentile``: the ends follow each frame's percentiles, smoothed over time so that a hot object
            entering the picture does not make it flicker; ``fixed``: the ends are ``low`` and ``high``.
        low_percentile: Percentile of the frame that becomes black.
        high_percentile: Percentile of the frame that becomes white.
        smoothing: Share of the previous range kept at each frame, 0 (none) to below 1.
        units: Unit of ``low`` and ``high``: ``raw`` sensor units or ``kelvin``.
        low: Value that becomes black with ``range: fixed``.
        high: Value that becomes white with ``range: fixed``.
        kelvin_per_count: Kelvin per raw unit (0.01 for centi-kelvin cameras), used with ``units: kelvin``.
        kelvin_offset: Kelvin at raw value 0.
    """

    name: ClassVar[str] = "thermal"
    range: Literal["percentile", "fixed"] = "percentile"
    low_percentile: float = 1.0
    high_percentile: float = 99.0
    smoothing: float = 0.9
    units: Literal["raw", "kelvin"] = "raw"
    low: float = 0.0
    high: float = 65535.0
    kelvin_per_count: float = 0.01
    kelvin_offset: float = 0.0
    _ends: tuple[float, float] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ConfigError(
                "the percentiles cannot be used",
                got=f"low_percentile={self.low_percentile}, high_percentile={self.high_percentile}",
                expected="0 <= low_percentile < high_percentile <= 100",
            )
        if not 0 <= self.smoothing < 1:
            raise ConfigError("smoothing cannot be used", got=self.smoothing, expected="0 <= smoothing < 1")
        if not self.low < self.high:
            raise ConfigError(
                "the fixed range cannot be used", got=f"low={self.low}, high={self.high}", expected="low < high"
            )
        if self.kelvin_per_count <= 0:
            raise ConfigError("kelvin_per_count cannot be used", got=self.kelvin_per_count, expected="a number above 0")

    def reset(self) -> None:
        """Forgets the smoothed range; the next frame sets it anew."""
        self._ends = None

    # Signalling NaNs and the largest floats of a damaged message become invalid or are clipped: no warning is due.
    @np.errstate(all="ignore")
    def encode(self, raw: npt.NDArray[Any]) -> EncodedImage:
        """Encodes (H, W) uint8, uint16 or float32; see the class."""
        if raw.ndim != 2 or raw.size == 0 or raw.dtype not in (np.uint8, np.uint16, np.float32):
            raise InvalidInputError(
                "a thermal frame cannot be used",
                reason="thermal_array",
                got=f"{raw.dtype} {raw.shape}",
                expected="(H, W) uint8, uint16 or float32",
                do="publish mono8, mono16, 16UC1 or 32FC1",
            )
        if raw.dtype == np.uint8:
            return EncodedImage(gray_to_rgb(raw.astype(np.float32) * np.float32(1 / 255)))
        valid = None
        if raw.dtype == np.float32:
            finite = np.isfinite(raw)
            if not finite.all():
                valid = finite
                if not finite.any():
                    return EncodedImage(np.zeros((*raw.shape, 3), np.float32), valid)
        low, high = self._range_of(raw if valid is None else raw[valid])
        # In place: fresh memory costs more than the arithmetic.
        gray = np.subtract(raw, np.float32(low), dtype=np.float32)
        gray *= np.float32(1 / (high - low))
        np.clip(gray, 0, 1, out=gray)
        if valid is not None:
            gray[~valid] = 0
        return EncodedImage(gray_to_rgb(gray), valid)

    def _range_of(self, values: npt.NDArray[Any]) -> tuple[float, float]:
        if self.range == "fixed":
            if self.units == "raw":
                return self.low, self.high
            offset, scale = self.kelvin_offset, self.kelvin_per_count
            return (self.low - offset) / scale, (self.high - offset) / scale
        # Some 20,000 pixels give the percentiles to a fraction of a count, and sorting all of them would cost
        # more time than everything else here.
        sample = values.reshape(-1)[:: max(1, values.size // 20000)]
        low, high = _percentiles(sample, (self.low_percentile, self.high_percentile))
        if self._ends is not None:
            keep = self.smoothing
            low, high = (keep * old + (1 - keep) * new for old, new in zip(self._ends, (low, high), strict=True))
        self._ends = (low, high)
        return low, max(high, low + 1e-6 * max(1.0, abs(low)))


def _percentiles(values: npt.NDArray[Any], percentages: tuple[float, float]) -> tuple[float, float]:
    """As ``numpy.percentile``, linear between neighbours; a partition of the raw type takes a quarter of its time."""
    positions = [percentage / 100 * (values.size - 1) for percentage in percentages]
    below = [int(position) for position in positions]
    above = [min(index + 1, values.size - 1) for index in below]
    ordered = np.partition(values, sorted({*below, *above}))
    low, high = (
        float(ordered[first]) + (position - first) * (float(ordered[second]) - float(ordered[first]))
        for position, first, second in zip(positions, below, above, strict=True)
    )
    return low, high
