"""iniVation's AEDAT4 files, through the package ``aedat``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import DataError, MissingDependencyError
from madm_core.events.event_array import make_events
from madm_core.events.event_file import EventFile


def open_aedat4(path: Path) -> EventFile:
    """Open an AEDAT4 file; of several event streams the first is read.

    Raises:
        DataError: Not such a file, or one without events.
        MissingDependencyError: The package ``aedat`` is not installed.
    """
    try:
        aedat = importlib.import_module("aedat")
    except ImportError as error:
        raise MissingDependencyError(
            "reading AEDAT4 files needs a package", do="pip install madm_ros[aedat4], or aedat"
        ) from error
    try:
        decoder = aedat.Decoder(str(path))
    except Exception as error:  # the package raises its own and generic types
        raise DataError(f"{path}: cannot be read", got=str(error), expected="an AEDAT4 file") from error
    streams = {key: stream for key, stream in decoder.id_to_stream().items() if stream["type"] == "events"}
    if not streams:
        raise DataError(f"{path}: no events", got="streams without events", expected="an event stream")
    key = min(streams)
    return EventFile(streams[key]["width"], streams[key]["height"], _chunks(path, decoder, key))


def _chunks(path: Path, decoder: Any, key: int) -> Iterator[NDArray[np.void]]:
    count = 0
    packets = iter(decoder)
    while True:
        try:
            packet = next(packets, None)
        except Exception as error:  # as above
            raise DataError(
                f"{path}: damaged or cut after {count} events",
                got=str(error),
                expected="packets until the end of the file",
                do="copy the file again, or use the windows before this error",
            ) from error
        if packet is None:
            return
        if packet["stream_id"] == key and "events" in packet:
            events = packet["events"]
            count += len(events)
            yield make_events(events["x"], events["y"], events["t"], events["on"])
