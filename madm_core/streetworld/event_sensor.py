"""An event camera: brightness changes as a stream of events in time order.

The model is that of ESIM (Rebecq et al., "ESIM: an Open Event Camera Simulator", CoRL 2018): between two rendered
frames each pixel's log intensity runs linearly, and an event is due wherever it has moved by the contrast threshold
since the pixel's last one. Thresholds differ from pixel to pixel, a pixel is blind for its refractory time after an
event, and noise events come at random, as measured in Hu et al., "v2e" (CVPRW 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

from madm_core.errors import InvalidInputError
from madm_core.events import EVENT_DTYPE
from madm_core.streetworld.meshes import Floats

Events = npt.NDArray[np.void]


class EventSensor:
    """Turns a sequence of light pictures into events.

    Args:
        height, width: Pixels.
        contrast: Mean threshold, in units of natural log intensity.
        mismatch: Standard deviation of the thresholds over the pixels.
        refractory_ns: Blind time of a pixel after an event; changes in that time are not made up for.
        noise_hz: Noise events a second and pixel; four of five are ON, as leakage makes them.
        dark: Intensity of the pixels' dark current: below it contrasts vanish.
        blur: Standard deviation of the optics' point spread, in pixels.
        seed: Of thresholds and noise.

    Raises:
        InvalidInputError: The contrast or a time is not positive.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        contrast: float = 0.2,
        mismatch: float = 0.02,
        refractory_ns: int = 500_000,
        noise_hz: float = 0.1,
        dark: float = 2e-3,
        blur: float = 0.6,
        seed: int = 0,
    ) -> None:
        if contrast <= 0 or refractory_ns < 0 or noise_hz < 0 or dark <= 0:
            raise InvalidInputError(
                "this event camera cannot be simulated",
                reason="parameters",
                got=f"contrast {contrast}, refractory time {refractory_ns} ns, noise {noise_hz} Hz, dark {dark}",
                expected="contrast and dark above 0, the others not below 0",
            )
        self._rng = np.random.default_rng([seed, 6])
        thresholds = self._rng.normal(contrast, mismatch, (2, height, width)) if mismatch > 0 else contrast
        self._thresholds = np.maximum(np.broadcast_to(thresholds, (2, height, width)), 0.25 * contrast).astype(
            np.float32
        )
        self._shape = (height, width)
        self._refractory_ns = refractory_ns
        self._noise_hz = noise_hz
        self._dark = dark
        self._blur = blur
        self._time_ns: int | None = None
        self._level = np.zeros((height, width), np.float32)
        self._reference = np.zeros((height, width), np.float32)
        self._last_ns = np.full((height, width), -(2**62), np.int64)

    def add(self, light: Floats, time_ns: int) -> Events:
        """Takes the next picture.

        Args:
            light: (H, W) linear intensity or (H, W, 3) linear RGB, not negative.
            time_ns: Its time, later than that of the picture before.

        Returns:
            Events since the picture before (``EVENT_DTYPE``, ``t`` in nanoseconds of the given clock, ascending), none
            for the first picture.

        Raises:
            InvalidInputError: The picture has another size, or comes no later than the one before.
        """
        if light.shape[:2] != self._shape:
            raise InvalidInputError(
                "a picture of another size came to an event camera",
                reason="size",
                got=light.shape,
                expected=self._shape,
            )
        grey = light @ np.array([0.2126, 0.7152, 0.0722], np.float32) if light.ndim == 3 else light
        if self._blur > 0:
            grey = cv2.GaussianBlur(grey, (0, 0), self._blur)
        level = np.log(grey + np.float32(self._dark)).astype(np.float32)
        if self._time_ns is None:
            self._time_ns, self._level, self._reference = time_ns, level, level.copy()
            return np.zeros(0, EVENT_DTYPE)
        if time_ns <= self._time_ns:
            raise InvalidInputError(
                "a picture came to an event camera out of order",
                reason="time",
                got=time_ns,
                expected=f"above {self._time_ns}",
            )
        most = np.abs(level - self._reference) / self._thresholds.min(axis=0)
        events = np.zeros(int(np.ceil(most).sum()) + level.size, EVENT_DTYPE)
        count = _cross(
            self._level, level, self._reference, self._thresholds, self._last_ns,
            self._time_ns, time_ns, self._refractory_ns, events["x"], events["y"], events["t"], events["p"],
        )  # fmt: skip
        stream = join_events([events[:count], self._noise(self._time_ns, time_ns)])
        self._time_ns, self._level = time_ns, level
        return stream[np.argsort(stream["t"], kind="stable")]

    def _noise(self, start_ns: int, end_ns: int) -> Events:
        height, width = self._shape
        expected = self._noise_hz * height * width * (end_ns - start_ns) * 1e-9
        noise = np.zeros(int(self._rng.poisson(expected)), EVENT_DTYPE)
        noise["x"] = self._rng.integers(0, width, len(noise))
        noise["y"] = self._rng.integers(0, height, len(noise))
        noise["t"] = self._rng.integers(start_ns, end_ns, len(noise))
        noise["p"] = self._rng.random(len(noise)) < 0.8
        return noise


def join_events(parts: Sequence[Events]) -> Events:
    """Arrays of ``EVENT_DTYPE`` as one; ``np.concatenate`` would pack the fields and lose the layout."""
    joined = np.empty(sum(len(part) for part in parts), EVENT_DTYPE)
    return np.concatenate(parts, out=joined)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _cross(
    before: Any,
    after: Any,
    reference: Any,
    thresholds: Any,
    last_ns: Any,
    start_ns: int,
    end_ns: int,
    refractory_ns: int,
    xs: Any,
    ys: Any,
    ts: Any,
    ps: Any,
) -> int:
    """Writes the threshold crossings of all pixels and returns their number; moves ``reference`` and ``last_ns`` on."""
    count = 0
    duration = end_ns - start_ns
    for y in range(before.shape[0]):
        for x in range(before.shape[1]):
            change = after[y, x] - before[y, x]
            polarity = 1 if change > 0 else 0
            step = thresholds[1, y, x] if polarity else -thresholds[0, y, x]
            if change == 0:
                continue
            level = reference[y, x] + step
            while (polarity and level <= after[y, x]) or (not polarity and level >= after[y, x]):
                time = start_ns + np.int64((level - before[y, x]) / change * duration)
                reference[y, x] = level
                if time - last_ns[y, x] >= refractory_ns:
                    last_ns[y, x] = time
                    xs[count], ys[count], ts[count], ps[count] = x, y, time, polarity
                    count += 1
                level += step
    return count
