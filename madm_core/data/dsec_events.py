"""Raw events of a DSEC sequence: ``events.h5``, rectified, as voxel grids."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.errors import DataError, MissingDependencyError
from madm_core.events import voxel_grid

HEIGHT, WIDTH = 480, 640


class DsecEvents:
    """One sequence's left event camera.

    Args:
        events_file: ``events.h5`` with ``events/{x,y,t,p}`` (t in microseconds from ``t_offset``) and ``ms_to_idx``.
        rectify_file: ``rectify_map.h5`` with ``rectify_map`` (H, W, 2): where a pixel lies in the rectified picture.

    Raises:
        DataError: A file is missing, or is not what DSEC ships.
        MissingDependencyError: h5py and hdf5plugin (the extra ``dsec``) are not installed.
    """

    def __init__(self, events_file: Path, rectify_file: Path) -> None:
        try:
            h5py = importlib.import_module("h5py")
            importlib.import_module("hdf5plugin")  # DSEC is compressed with a filter that only this brings
        except ImportError as error:
            raise MissingDependencyError(
                "raw DSEC events need h5py and hdf5plugin", do='pip install "madm_ros[dsec]"'
            ) from error
        self.path = events_file
        try:
            with h5py.File(rectify_file) as rectify:
                self._rectify: npt.NDArray[Any] = rectify["rectify_map"][()]
            self._file = h5py.File(events_file)
            self._offset_us = int(self._file["t_offset"][()])
            self._ms_to_index: npt.NDArray[Any] = self._file["ms_to_idx"][()]
            self._events = self._file["events"]
        except (OSError, KeyError) as error:
            raise DataError(f"cannot read the DSEC events {events_file}", got=error) from error
        if self._rectify.shape != (HEIGHT, WIDTH, 2):
            raise DataError(f"{rectify_file} is not DSEC's", got=self._rectify.shape, expected=(HEIGHT, WIDTH, 2))

    def voxel_grid(self, stamp_us: int, window_ms: float, bins: int) -> npt.NDArray[np.float32]:
        """(bins, 480, 640) float32 of the events in the window that ends at a stamp.

        Args:
            stamp_us: End of the window in the data set's own microseconds (as in its timestamp files), exclusive.
            window_ms: Length of the window.
            bins: Time bins.

        Raises:
            DataError: The file is damaged there.
        """
        stop = stamp_us - self._offset_us
        start = stop - round(window_ms * 1000)
        last_ms = len(self._ms_to_index) - 1
        first = int(self._ms_to_index[np.clip(start // 1000, 0, last_ms)])
        last_known = stop // 1000 + 1
        end = int(self._ms_to_index[last_known]) if 0 <= last_known <= last_ms else self._events["t"].shape[0]
        try:
            x, y, t, p = (self._events[name][first:end] for name in "xytp")
        except OSError as error:
            raise DataError(f"the DSEC events {self.path} are damaged", got=error, do="download them again") from error
        inside = (t >= start) & (t < stop)
        x, y, t, p = x[inside], y[inside], t[inside], p[inside]
        rectified = np.rint(self._rectify[y, x]).astype(np.int64)
        seen = (rectified >= 0).all(1) & (rectified[:, 0] < WIDTH) & (rectified[:, 1] < HEIGHT)
        if not seen.any():
            return np.zeros((bins, HEIGHT, WIDTH), np.float32)
        grid: npt.NDArray[np.float32] = voxel_grid(
            rectified[seen, 0],
            rectified[seen, 1],
            t[seen].astype(np.int64),
            p[seen],
            bins=bins,
            height=HEIGHT,
            width=WIDTH,
            t_start=start,
            t_end=stop,
        ).numpy()
        return grid

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> DsecEvents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
