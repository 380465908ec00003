"""Where a sensor pixel's events go: hot-pixel mask, region of interest and rectification in one table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import InvalidInputError
from madm_core.events.compilation import kernel
from madm_core.events.event_array import read_only


@kernel
def map_words(
    words: NDArray[np.int64],
    lookup: NDArray[np.int32],
    sensor_height: int,
    sensor_width: int,
    height: int,
    width: int,
    mapped: NDArray[np.int64],
) -> int:
    """Write the events (N, 2) that ``lookup`` keeps to ``mapped`` with their new pixels; returns how many."""
    n = 0
    for i in range(words.shape[0]):
        word = words[i, 1]
        x = word & 0xFFFF
        y = (word >> 16) & 0xFFFF
        if x < sensor_width and y < sensor_height:
            target = np.int64(lookup[y * sensor_width + x])
            if target < height * width:
                mapped[n, 0] = words[i, 0]
                mapped[n, 1] = (target % width) | ((target // width) << 16) | (word & (1 << 32))
                n += 1
    return n


@dataclass(frozen=True)
class PixelMap:
    """A table from sensor pixels to grid pixels, read once for each event.

    Attributes:
        lookup: (H * W,) int32, the grid pixel's index for each sensor pixel, or ``shape[0] * shape[1]`` to drop it.
        sensor_shape: (height, width) of the sensor.
        shape: (height, width) of the grid.
    """

    lookup: NDArray[np.int32]
    sensor_shape: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def build(
        cls,
        height: int,
        width: int,
        *,
        hot_pixels: NDArray[np.bool_] | None = None,
        region: tuple[int, int, int, int] | None = None,
        rectify_map: NDArray[np.floating] | None = None,
        crop: bool = False,
    ) -> PixelMap:
        """Combine what is known of a sensor.

        Args:
            height: Sensor height in pixels.
            width: Sensor width in pixels.
            hot_pixels: (H, W) bool, True for pixels to ignore.
            region: ``(x, y, width, height)`` of the pixels to keep, after rectification.
            rectify_map: (H, W, 2) float, the rectified x, y of every sensor pixel, as in DSEC's ``rectify_map.h5``.
                An event moves to the nearest pixel; one that lands outside is dropped.
            crop: The grid has the region's size; otherwise the sensor's, empty outside the region.

        Raises:
            InvalidInputError: An argument of the wrong shape, or a region that does not lie in the sensor.
        """
        rows, columns = np.mgrid[0:height, 0:width]
        keep = np.ones((height, width), bool)
        if rectify_map is not None:
            _require("rectify_map", np.shape(rectify_map), (height, width, 2))
            finite = np.isfinite(rectify_map).all(axis=2)
            nearest = np.rint(np.where(finite[..., None], rectify_map, -1)).astype(np.int64)
            columns, rows = nearest[..., 0], nearest[..., 1]
            keep &= (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        if hot_pixels is not None:
            _require("hot_pixels", np.shape(hot_pixels), (height, width))
            keep &= ~np.asarray(hot_pixels, bool)
        shape = (height, width)
        if region is not None:
            left, top, region_width, region_height = region
            right, bottom = left + region_width, top + region_height
            if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                raise InvalidInputError(
                    "the region of interest does not lie in the sensor",
                    reason="size",
                    got=f"x {left}..{right}, y {top}..{bottom}",
                    expected=f"x in 0..{width}, y in 0..{height}",
                )
            keep &= (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
            if crop:
                rows, columns, shape = rows - top, columns - left, (region_height, region_width)
        lookup = np.where(keep, rows * shape[1] + columns, shape[0] * shape[1]).astype(np.int32)
        return cls(np.ascontiguousarray(lookup.reshape(-1)), (height, width), shape)

    def without(self, hot_pixels: NDArray[np.bool_]) -> PixelMap:
        """Return this map with the sensor pixels marked in (H, W) ``hot_pixels`` dropped."""
        _require("hot_pixels", hot_pixels.shape, self.sensor_shape)
        nowhere = np.int32(self.shape[0] * self.shape[1])
        return replace(self, lookup=np.where(hot_pixels.reshape(-1), nowhere, self.lookup))

    def apply(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return events (N, 2) with their pixels mapped, without those that are dropped."""
        mapped = np.empty_like(words)
        return mapped[: map_words(read_only(words), self.lookup, *self.sensor_shape, *self.shape, mapped)]


def rectify_map_from_camera_info(
    camera_matrix: NDArray[np.floating],
    distortion: NDArray[np.floating],
    height: int,
    width: int,
    *,
    rectification: NDArray[np.floating] | None = None,
    new_camera_matrix: NDArray[np.floating] | None = None,
    model: str = "plumb_bob",
) -> NDArray[np.float32]:
    """Return the (H, W, 2) rectified x, y of each sensor pixel from the fields k, d, r, p of a CameraInfo message.

    Args:
        camera_matrix: (3, 3) intrinsics ``k`` of the distorted image.
        distortion: Coefficients ``d``.
        height: Sensor height in pixels.
        width: Sensor width in pixels.
        rectification: (3, 3) rotation ``r``; identity when None.
        new_camera_matrix: (3, 3) or (3, 4) projection ``p``; ``camera_matrix`` when None.
        model: ``plumb_bob``, ``rational_polynomial`` or ``equidistant`` (REP 131).

    Raises:
        InvalidInputError: Another distortion model.
    """
    import cv2  # only here: a decoder needs no OpenCV

    columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    points = np.stack([columns, rows], axis=-1).reshape(-1, 1, 2)
    matrix = np.asarray(camera_matrix, np.float64).reshape(3, 3)
    target = matrix if new_camera_matrix is None else np.asarray(new_camera_matrix, np.float64)[:, :3]
    rotation = np.eye(3) if rectification is None else np.asarray(rectification, np.float64).reshape(3, 3)
    coefficients = np.asarray(distortion, np.float64)
    if model in ("plumb_bob", "rational_polynomial"):
        rectified = cv2.undistortPoints(points, matrix, coefficients, R=rotation, P=target)
    elif model == "equidistant":
        rectified = cv2.fisheye.undistortPoints(points, matrix, coefficients, R=rotation, P=target)
    else:
        raise InvalidInputError(
            "the distortion model of a camera is unknown",
            reason="camera_info",
            got=model,
            expected="plumb_bob, rational_polynomial or equidistant",
        )
    return np.asarray(rectified, np.float32).reshape(height, width, 2)


def _require(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise InvalidInputError(f"{name} does not fit the sensor", reason="size", got=got, expected=expected)
