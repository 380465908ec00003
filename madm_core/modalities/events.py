"""Event cameras: voxel grid -> picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.modalities.base import EncodedImage, Modality

_SAMPLE_STRIDE, _SAMPLED_FROM, _ENOUGH = 13, 200_000, 2000


@dataclass
class EventModality(Modality):
    """A window of events as a picture: one time bin a colour channel, 0.5 = no event, brighter = ON, darker = OFF.

    The raw array is the voxel grid (bins, H, W) float32 of ``madm_core.events.voxel_grid`` (Zhu et al., CVPR 2019).
    It is divided by a percentile of its non-zero magnitudes, which keeps contrast steady between slow and fast motion
    and is not moved by a few hot pixels.

    Args:
        bins: Time bins of the grid; 3 fill the colour channels, 1 is repeated in all of them.
        percentile: Percentile of the non-zero magnitudes that becomes full contrast.
        window: What ends a window: ``time`` (``window_ms`` have passed), ``count`` (``window_count`` events),
            ``both`` (which comes first).
        window_ms: Length of a window in milliseconds.
        window_count: Events of a window.
        max_wait_ms: Without events for so long, an empty window is closed all the same.
    """

    name: ClassVar[str] = "event"
    bins: int = 3
    percentile: float = 99.0
    window: Literal["time", "count", "both"] = "time"
    window_ms: float = 50.0
    window_count: int = 100_000
    max_wait_ms: float = 1000.0

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("bins", self.bins in (1, 3), "1 or 3, as the network's input has three channels"),
            ("percentile", 0 < self.percentile <= 100, "above 0 and at most 100"),
            ("window_ms", self.window_ms > 0, "milliseconds above 0"),
            ("window_count", self.window_count > 0, "a number of events above 0"),
            ("max_wait_ms", self.max_wait_ms > 0, "milliseconds above 0"),
        ):
            if not good:
                raise ConfigError(f"{name} cannot be used", got=getattr(self, name), expected=expected)

    def encode(self, raw: npt.NDArray[Any]) -> EncodedImage:
        """Encodes a (bins, H, W) float32 voxel grid; see the class."""
        if raw.ndim != 3 or raw.shape[0] != self.bins or raw.size == 0 or raw.dtype != np.float32:
            raise InvalidInputError(
                "a voxel grid cannot be used",
                reason="voxel_grid",
                got=f"{raw.dtype} {raw.shape}",
                expected=f"float32 ({self.bins}, H, W)",
                do="accumulate with as many bins as the model's",
            )
        # The scale is the same from a sample; a prime stride does not fall into step with the grid's columns.
        magnitudes = np.abs(raw.reshape(-1)[:: _SAMPLE_STRIDE if raw.size > _SAMPLED_FROM else 1])
        magnitudes = magnitudes[magnitudes > 0]
        if magnitudes.size < _ENOUGH:
            magnitudes = np.abs(raw[raw != 0])
        if not magnitudes.size:
            return EncodedImage(np.full((*raw.shape[1:], 3), 0.5, np.float32))
        scale = 0.5 / float(np.percentile(magnitudes[:: max(1, magnitudes.size // 20000)], self.percentile))
        bins = raw * np.float32(scale)
        bins += np.float32(0.5)
        np.clip(bins, 0, 1, out=bins)
        return EncodedImage(cv2.merge([bins[channel % self.bins] for channel in range(3)]))
