"""Event cameras: voxel grid -> picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.modalities.base import EncodedImage, Modality


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
        image = np.full((*raw.shape[1:], self.bins), 0.5, np.float32)
        magnitudes = np.abs(raw[raw != 0])
        if magnitudes.size:
            # float64 percentile of at most 20,000 of them: the scale needs no more, and selection is the slow part.
            scale = float(np.percentile(magnitudes[:: max(1, magnitudes.size // 20000)], self.percentile))
            np.clip(0.5 + raw.transpose(1, 2, 0) * np.float32(0.5 / scale), 0, 1, out=image)
        return EncodedImage(image if self.bins == 3 else np.repeat(image, 3, axis=2))
