"""Depth cameras: metric depth -> picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.modalities.base import EncodedImage, Mask, Modality, gray_to_rgb

CARLA_MAX_DEPTH_M = 1000.0
CARLA_LOG_SPAN = 5.70378
"""CARLA paints logarithmic depth as 1 + ln(d / 1000 m) / 5.70378, clipped to 0..1; DELIVER's depth pictures are made
so."""


@dataclass
class DepthModality(Modality):
    """Metric depth as a grey picture (near = dark for ``log`` and ``linear``, near = bright for ``inverse``).

    Raw arrays are (H, W): uint16 in millimetres with 0 = invalid, or float32 in metres with NaN and infinities invalid
    (REP-118, REP-117). Invalid pixels are filled from the nearest valid one for the network and masked.

    Args:
        encoding: ``log``: 1 + ln(d / max) / ln(max / min); ``inverse``: (1/d - 1/max) / (1/min - 1/max); ``linear``:
            d / max.
        min_depth_m: Depth that maps to the dark (``inverse``: bright) end for ``log`` and ``inverse``.
        max_depth_m: Depth that maps to the other end. The defaults of both make ``log`` equal to CARLA's and DELIVER's.
        depth_scale: Metres per raw unit; None: 0.001 for uint16, 1 for float32.
        infinity_is_far: +inf means "nothing within range" (REP-117) and is drawn as ``max_depth_m`` instead of being
            invalid.
    """

    name: ClassVar[str] = "depth"
    encoding: Literal["log", "inverse", "linear"] = "log"
    min_depth_m: float = CARLA_MAX_DEPTH_M * math.exp(-CARLA_LOG_SPAN)
    max_depth_m: float = CARLA_MAX_DEPTH_M
    depth_scale: float | None = None
    infinity_is_far: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.min_depth_m < self.max_depth_m:
            raise ConfigError(
                "the depth range cannot be used",
                got=f"min_depth_m={self.min_depth_m}, max_depth_m={self.max_depth_m}",
                expected="0 < min_depth_m < max_depth_m",
            )
        if self.depth_scale is not None and self.depth_scale <= 0:
            raise ConfigError(
                "depth_scale cannot be used", got=self.depth_scale, expected="metres per raw unit above 0"
            )

    # Signalling NaNs and the largest floats of a damaged message become invalid or are clipped: no warning is due.
    @np.errstate(all="ignore")
    def encode(self, raw: npt.NDArray[Any]) -> EncodedImage:
        """Encodes (H, W) uint16 millimetres or float32 metres; see the class."""
        depth = self._metres(raw)
        if self.infinity_is_far:
            depth[np.isposinf(depth)] = self.max_depth_m
        # Whole numbers are finite. Of floats, NaN fails both comparisons.
        valid = raw != 0 if raw.dtype == np.uint16 else (depth > 0) & (depth < np.inf)
        measured = cv2.countNonZero(valid.view(np.uint8))
        if not measured:
            return EncodedImage(np.zeros((*depth.shape, 3), np.float32), valid)
        if measured < valid.size:
            _fill_from_nearest(depth, valid)
        # In place: fresh memory costs more than the arithmetic.
        gray = depth
        if self.encoding == "log":
            gray *= np.float32(1 / self.max_depth_m)
            cv2.log(gray, dst=gray)
            gray *= np.float32(1 / math.log(self.max_depth_m / self.min_depth_m))
            gray += np.float32(1)
        elif self.encoding == "inverse":
            far = 1 / self.max_depth_m
            scale = 1 / (1 / self.min_depth_m - far)
            np.divide(np.float32(scale), gray, out=gray)
            gray -= np.float32(scale * far)
        else:
            gray *= np.float32(1 / self.max_depth_m)
        return EncodedImage(gray_to_rgb(np.clip(gray, 0, 1, out=gray)), valid)

    def _metres(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """A fresh array of metres, in C order whatever that of ``raw``: it is changed in place."""
        if raw.ndim != 2 or raw.size == 0 or raw.dtype not in (np.uint16, np.float32):
            raise InvalidInputError(
                "a depth frame cannot be used",
                reason="depth_array",
                got=f"{raw.dtype} {raw.shape}",
                expected="(H, W) uint16 millimetres or float32 metres",
                do="publish 16UC1, mono16 or 32FC1 depth, or set depth_scale for other units",
            )
        scale = self.depth_scale or (0.001 if raw.dtype == np.uint16 else 1.0)
        metres: npt.NDArray[np.float32] = np.multiply(raw, np.float32(scale), dtype=np.float32, order="C")
        return metres


def _fill_from_nearest(depth: npt.NDArray[np.float32], valid: Mask) -> None:
    """Gives every invalid pixel the depth of the nearest valid one: holes must make no edges that the network sees."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~valid).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # OpenCV numbers the valid pixels from 1 in reading order, which is the order in which indexing gathers them.
    holes = np.flatnonzero(~valid)
    depth.reshape(-1)[holes] = depth[valid][nearest.reshape(-1)[holes] - 1]
