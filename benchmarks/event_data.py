"""Synthetic events for the benchmarks, and EVT 3.0 as a sensor sends it."""

from __future__ import annotations

import numpy as np

from madm_core.events.event_array import make_events


def moving_edges(count: int, width: int, height: int, duration_us: int, seed: int = 0) -> np.ndarray:
    """EVENT_DTYPE (count,): 24 edges that move at their own speeds, blurred by a pixel, and 5 % noise."""
    rng = np.random.default_rng(seed)
    edges = 24
    t = np.sort(rng.integers(0, duration_us, count))
    edge = rng.integers(0, edges, count)
    angle, length = rng.uniform(0, np.pi, edges), rng.uniform(0.1, 0.5, edges) * height
    speed = rng.uniform(-800, 800, (2, edges))
    along = rng.uniform(-0.5, 0.5, count) * length[edge]
    position = []
    for axis, (extent, direction) in enumerate(((width, np.cos(angle)), (height, np.sin(angle)))):
        centre = rng.uniform(0.2, 0.8, edges) * extent
        place = centre[edge] + direction[edge] * along + speed[axis][edge] * t * 1e-6 + rng.normal(0, 0.7, count)
        noise = rng.random(count) < 0.05
        place[noise] = rng.uniform(0, extent, int(noise.sum()))
        position.append(np.mod(place, extent).astype(np.uint16))
    polarity = (speed[0][edge] > 0) ^ (rng.random(count) < 0.1)
    return make_events(position[0], position[1], t, polarity)


def random_mono(count: int, width: int, height: int, duration_ns: int) -> np.ndarray:
    """(8 * count,) uint8: a ``mono`` packet of event_camera_msgs of events anywhere, in order of time."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, duration_ns, count)).astype(np.uint64)
    x, y, p = (rng.integers(0, below, count).astype(np.uint64) for below in (width, height, 2))
    return (t | x << np.uint64(32) | y << np.uint64(48) | p << np.uint64(63)).view(np.uint8)


def encode_evt3(events: np.ndarray) -> bytes:
    """EVT 3.0 as a sensor sends it: rows in turn, and groups of 32 pixels as vectors where that is shorter."""
    events = events[np.lexsort((events["x"], events["p"], events["y"], events["t"]))]
    x, y, t, p = (events[name].astype(np.int64) for name in ("x", "y", "t", "p"))
    key = ((t << 17 | y << 6 | x >> 5) << 1) | p
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    mask = np.bitwise_or.reduceat(np.int64(1) << (x & 31), starts)
    count = np.diff(np.append(starts, len(x)))
    gx, gy, gt, gp = x[starts], y[starts], t[starts], p[starts]
    new_time = np.diff(gt, prepend=-1) != 0
    vector = count > 2
    words = np.zeros((len(starts), 7), np.int64)
    used = np.zeros(words.shape, bool)
    words[:, 0], used[:, 0] = 0x8000 | (gt >> 12 & 0xFFF), np.diff(gt >> 12, prepend=-1) != 0
    words[:, 1], used[:, 1] = 0x6000 | (gt & 0xFFF), new_time
    words[:, 2], used[:, 2] = gy, new_time | (np.diff(gy, prepend=-1) != 0)
    words[:, 3] = np.where(vector, 0x3000 | gp << 11 | (gx & ~31), 0x2000 | gp << 11 | gx)
    used[:, 3] = True
    for column, (code, shift, bits) in enumerate(
        ((0x4000, 0, 0xFFF), (0x4000, 12, 0xFFF), (0x5000, 24, 0xFF)), start=4
    ):
        words[:, column], used[:, column] = code | (mask >> shift & bits), vector
    pair = (count == 2).nonzero()[0]
    single = words[used].astype("<u2")
    # The second of two events that share a group follows as a word of its own.
    ends = np.cumsum(used.sum(axis=1))[pair]
    last = 0x2000 | p[starts[pair] + 1] << 11 | x[starts[pair] + 1]
    return np.insert(single, ends, last.astype("<u2")).tobytes()
