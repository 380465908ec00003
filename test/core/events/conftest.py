"""A float64 reference of the grid, an EVT 3.0 encoder, and the real recording."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STREAM_START_NS = 1_700_000_000 * 10**9
"""Host time of the first event of streams in the tests."""


def exact_grid(
    events: np.ndarray, bins: int, height: int, width: int, t_start: float | None = None, t_end: float | None = None
) -> np.ndarray:
    """Design.md 3.5 literally, bin by bin, in float64."""
    grid = np.zeros((bins, height, width))
    if len(events) == 0:
        return grid
    t = events["t"]
    t_start = t[0] if t_start is None else t_start
    t_end = t[-1] if t_end is None else t_end
    position = (bins - 1) * (t - t_start).astype(np.float64) / (t_end - t_start) if t_end > t_start else 0.0 * t
    x, y = events["x"].astype(int), events["y"].astype(int)
    inside = (x < width) & (y < height)
    for b in range(bins):
        weights = np.where(events["p"] > 0, 1.0, -1.0) * np.maximum(0, 1 - np.abs(b - position))
        np.add.at(grid[b], (y[inside], x[inside]), weights[inside])
    return grid


def evt3_bytes(events: np.ndarray, *, vectors: bool = False) -> bytes:
    """Encode events event by event; with ``vectors`` neighbours of one row, time and polarity share a word."""
    words: list[int] = []
    high = low = row = None
    index = 0
    while index < len(events):
        x, y, t, p = (int(events[index][name]) for name in ("x", "y", "t", "p"))
        if high != (t >> 12) & 0xFFF:
            high = (t >> 12) & 0xFFF
            words.append(0x8000 | high)
            low = None
        if low != t & 0xFFF:
            low = t & 0xFFF
            words.append(0x6000 | low)
        if row != y:
            row = y
            words.append(y)
        run = 1
        while vectors and index + run < len(events) and run < 12:
            follower = events[index + run]
            if (int(follower["t"]), int(follower["y"]), int(follower["p"])) != (t, y, p):
                break
            if int(follower["x"]) != x + run:
                break
            run += 1
        if run > 1:
            words += [0x3000 | p << 11 | x, (0x5000 if run <= 8 else 0x4000) | ((1 << run) - 1)]
        else:
            words.append(0x2000 | p << 11 | x)
        index += run
    return np.array(words, "<u2").tobytes()


@pytest.fixture(scope="session")
def reference_grid() -> Callable[..., np.ndarray]:
    """``reference_grid(events, bins, height, width, t_start=None, t_end=None)`` in float64."""
    return exact_grid


@pytest.fixture(scope="session")
def encode_evt3() -> Callable[..., bytes]:
    """``encode_evt3(events, vectors=False)`` -> bytes."""
    return evt3_bytes


@pytest.fixture(scope="session")
def random_events() -> Callable[..., np.ndarray]:
    """``random_events(count, height, width, duration, seed=0, t_first=0)`` in order of time."""
    from madm_core.events.event_array import make_events

    def make(count: int, height: int, width: int, duration: int, seed: int = 0, t_first: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return make_events(
            rng.integers(0, width, count),
            rng.integers(0, height, count),
            np.sort(rng.integers(0, duration, count)) + t_first,
            rng.integers(0, 2, count),
        )

    return make


@pytest.fixture(scope="session")
def recording(shared_data: Path) -> list[bytes]:
    """The serialized packets of the real EVT 3.0 recording, in order."""
    database = shared_data / "events_evt3_640x480" / "test_events_1.db3"
    with closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT data FROM messages ORDER BY timestamp")]


@pytest.fixture
def make_packet() -> Callable[..., Any]:
    """``make_packet(data, stamp_ns, seq=None, width=64, height=48, encoding="evt3", time_base=0)``."""
    from madm_core.events import EventPacketFields

    def make(
        data: bytes,
        stamp_ns: int,
        seq: int | None = None,
        *,
        width: int = 64,
        height: int = 48,
        encoding: str = "evt3",
        time_base: int = 0,
    ) -> EventPacketFields:
        return EventPacketFields(encoding, data, width, height, seq, time_base, stamp_ns)

    return make


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """``run(stream, events, sizes, finish=True)`` -> windows with their grids, of events in packets of these sizes."""

    def feed(stream: Any, events: np.ndarray, sizes: Sequence[int], finish: bool = True) -> list[Any]:
        """Feed ``events`` (ns since STREAM_START_NS) in packets of ``sizes``; the windows, with their grids copied."""
        windows: list[Any] = []
        position = index = 0
        while position < len(events):
            part = events[position : position + sizes[index % len(sizes)]].copy()
            part["t"] += STREAM_START_NS
            closed = stream.add_events(part, 64, 48, int(part["t"][0]), index)
            windows += [(window, window.grid.copy()) for window in closed]
            position += len(part)
            index += 1
        if finish:
            windows += [(window, window.grid.copy()) for window in stream.finish()]
        return windows

    return feed
