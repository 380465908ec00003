"""DSEC's ``events.h5`` with its ``rectify_map.h5`` (Gehrig et al., RA-L 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import DataError, MissingDependencyError
from madm_core.events.event_array import EVENT_DTYPE
from madm_core.events.event_file import CHUNK_EVENTS, EventFile

DSEC_SIZE = (480, 640)


def open_dsec(path: Path) -> EventFile:
    """Open an HDF5 file with the groups ``events/x, y, t, p`` and, optionally, ``t_offset`` (microseconds).

    The rectification map is that of ``rectify_map.h5`` in the same folder; without one, the sensor is DSEC's of
    640x480 pixels unless ``events`` has the attributes or data sets ``width`` and ``height``.

    Raises:
        DataError: Not such a file.
        MissingDependencyError: h5py or hdf5plugin is not installed.
    """
    h5py = _import_h5py()
    try:
        with h5py.File(path) as file:
            missing = [name for name in "xytp" if f"events/{name}" not in file]
            if missing:
                raise DataError(
                    f"{path}: no events",
                    got=", ".join(file) or "an empty file",
                    expected="the data sets events/x, events/y, events/t, events/p",
                )
            sizes = {name: file[f"events/{name}"].shape[0] for name in "xytp"}
            if len(set(sizes.values())) != 1:
                raise DataError(f"{path}: damaged", got=f"lengths {sizes}", expected="data sets of equal length")
            size = _size(file["events"])
        rectify_map = None
        beside = path.with_name("rectify_map.h5")
        if beside.is_file():
            with h5py.File(beside) as file:
                rectify_map = np.asarray(file["rectify_map"], np.float32)
    except DataError:
        raise
    except Exception as error:  # h5py fails in many ways on damaged files
        raise DataError(f"{path}: cannot be read", got=str(error), expected="an HDF5 file") from error
    if rectify_map is not None:
        size = size or rectify_map.shape[:2]
    height, width = size or DSEC_SIZE
    return EventFile(width, height, _chunks(path, h5py), rectify_map)


def _chunks(path: Path, h5py: Any) -> Iterator[NDArray[np.void]]:
    try:
        with h5py.File(path) as file:
            offset = int(file["t_offset"][()]) if "t_offset" in file else 0
            group = file["events"]
            for first in range(0, group["t"].shape[0], CHUNK_EVENTS):
                yield _chunk(group, slice(first, first + CHUNK_EVENTS), offset)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise DataError(f"{path}: damaged", got=str(error), expected="arrays of numbers in events/") from error


def _chunk(group: Any, part: slice, offset: int) -> NDArray[np.void]:
    t = group["t"][part]
    events = np.zeros(len(t), EVENT_DTYPE)
    events["t"] = t.astype(np.int64) + offset
    events["x"], events["y"] = group["x"][part], group["y"][part]
    events["p"] = group["p"][part] > 0
    return events


def _size(group: Any) -> tuple[int, int] | None:
    for source in (group, group.attrs):
        if "height" in source and "width" in source:
            return int(np.asarray(source["height"])), int(np.asarray(source["width"]))
    return None


def _import_h5py() -> Any:
    try:
        import h5py
        import hdf5plugin  # noqa: F401  (registers the blosc filter that DSEC is compressed with)
    except ImportError as error:
        raise MissingDependencyError(
            "reading HDF5 events needs two packages", got=str(error), do="pip install 'madm_ros[dsec]'"
        ) from error
    return h5py
