"""Encodings that only ROS's event_camera_py decodes."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import InvalidInputError
from madm_core.events.event_array import TRIGGER_DTYPE, make_events


class ForeignDecoder:
    """Decodes one stream by event_camera_py, if that is installed.

    Args:
        encoding: Name of the encoding.
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        known: Encodings that need no other package, for the error.

    Raises:
        InvalidInputError: event_camera_py is not installed (``reason="encoding"``).
    """

    def __init__(self, encoding: str, width: int, height: int, known: list[str]) -> None:
        self._encoding, self._width, self._height = encoding, width, height
        try:
            self._decoder: Any = importlib.import_module("event_camera_py").Decoder()
        except ImportError:
            raise InvalidInputError(
                "the encoding of an event packet is unknown",
                reason="encoding",
                got=repr(encoding),
                expected=f"one of {', '.join(known)}",
                do="install ros-$ROS_DISTRO-event-camera-py, or let the driver publish one of these",
            ) from None

    def decode(self, data: Any, time_base: int) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Return events (EVENT_DTYPE) and trigger edges (TRIGGER_DTYPE) of a packet, ``t`` in microseconds.

        Raises:
            InvalidInputError: It cannot decode them either.
        """
        raw = np.frombuffer(data, np.uint8).tobytes()
        try:
            self._decoder.decode_bytes(self._encoding, self._width, self._height, time_base, raw)
        except RuntimeError as error:
            raise InvalidInputError(
                "event_camera_py cannot decode an event packet",
                reason="encoding",
                got=f"encoding {self._encoding!r}: {error}",
                expected="an encoding that it supports",
                do="let the driver publish evt3",
            ) from error
        found = self._decoder.get_cd_events()
        edges = self._decoder.get_ext_trig_events()
        triggers = np.zeros(len(edges), TRIGGER_DTYPE)
        for name in ("t", "id", "p"):
            triggers[name] = edges[name]
        return make_events(found["x"], found["y"], found["t"], found["p"]), triggers
