"""The arrays that hold decoded events and triggers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import InvalidInputError

EVENT_DTYPE = np.dtype(
    {
        "names": ["x", "y", "t", "p"],
        "formats": ["<u2", "<u2", "<i8", "u1"],
        "offsets": [8, 10, 0, 12],
        "itemsize": 16,
    }
)
"""One event: pixel ``x``, ``y`` (uint16), time ``t`` (int64 ticks), polarity ``p`` (uint8, 0 or 1).

Sixteen aligned bytes, so that a kernel writes or reads an event as two 64-bit words: the time, and
``x | y << 16 | p << 32``.
"""

TRIGGER_DTYPE = np.dtype([("t", "<i8"), ("id", "<u4"), ("p", "<u4")])
"""One edge on an external trigger input: time ``t`` (int64 ticks), channel ``id``, ``p`` 1 rising, 0 falling."""


def as_words(records: NDArray[np.void]) -> NDArray[np.int64]:
    """Return a (N, 2) int64 view of a contiguous array of EVENT_DTYPE or TRIGGER_DTYPE."""
    return records.view(np.int64).reshape(-1, 2)


def read_only(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a read-only view: kernels are compiled for arrays that may be written or not, and one form is enough."""
    view = words.view()
    view.flags.writeable = False
    return view


def as_events(events: NDArray[np.void]) -> NDArray[np.void]:
    """Return a structured array with the fields x, y, t, p in the layout of EVENT_DTYPE, as a view if it has it.

    Raises:
        InvalidInputError: A field is missing.
    """
    if events.dtype == EVENT_DTYPE:
        return np.ascontiguousarray(events)
    names = events.dtype.names or ()
    if not {"x", "y", "t", "p"} <= set(names):
        raise InvalidInputError(
            "these are not events", reason="fields", got=names or str(events.dtype), expected="the fields x, y, t, p"
        )
    return make_events(events["x"], events["y"], events["t"], events["p"])


def make_events(
    x: NDArray[np.generic], y: NDArray[np.generic], t: NDArray[np.generic], p: NDArray[np.generic]
) -> NDArray[np.void]:
    """Pack four arrays of shape (N,) into an EVENT_DTYPE array; ``p`` may be 0/1, -1/+1 or bool."""
    events = np.zeros(len(t), dtype=EVENT_DTYPE)
    events["x"], events["y"], events["t"] = x, y, t
    events["p"] = np.asarray(p) > 0
    return events
