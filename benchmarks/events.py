"""Event decoding and accumulation against the packages that are installed, on the same arrays in one run.

Peers are optional: whatever of eventcv, tonic, evlib, evt3 and evutils can be imported is measured, the rest is left
out. All candidates of a row are timed in turn, round after round, so that a busy machine is equally unkind to all;
ratios are of medians. Every candidate runs in one thread.

    python benchmarks/events.py [--quick] [--cpu-time] [--json FILE] [--recording BAG]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np
import torch

from madm_core.events import EventDecoder, EventPacketFields, EventStream, EventWindow, voxel_grid, warm_up
from madm_core.events.event_array import make_events

Candidates = dict[str, Callable[[], Any]]
SIZES = ((640, 480), (1280, 720))
WINDOW_US = 50_000


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


clock: Callable[[], float] = time.perf_counter


def race(candidates: Candidates, rounds: int) -> dict[str, float]:
    """Median seconds of each candidate, timed in turn."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, function in candidates.items():
            function()  # so that the timed call finds its own memory in the caches, as in a stream of frames
            started = clock()
            function()
            times[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def peer(name: str) -> Any:
    """Import an optional peer; None where it is not installed or does not load."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a peer's own import may fail in any way
        print(f"{name} is left out: {error}", file=sys.stderr)
        return None


def voxel_candidates(events: np.ndarray, width: int, height: int, bins: int, peers: dict[str, Any]) -> Candidates:
    """Ways to make a voxel grid of arrays in the form that each takes best."""
    x, y, t, p = (np.ascontiguousarray(events[name]) for name in ("x", "y", "t", "p"))
    candidates: Candidates = {"madm_ros": lambda: voxel_grid(x, y, t, p, bins=bins, height=height, width=width)}
    tensors = [torch.from_numpy(a.astype(np.int64)) for a in (x, y, t, p)]

    def torch_scatter() -> torch.Tensor:
        tx, ty, tt, tp = tensors
        position = (tt - tt[0]).float() * ((bins - 1) / float(tt[-1] - tt[0]))
        lower = position.floor()
        later = position - lower
        sign = tp.float() * 2 - 1
        index = lower.long() * (height * width) + ty * width + tx
        grid = torch.zeros((bins + 1) * height * width)
        grid.scatter_add_(0, index, sign * (1 - later))
        grid.scatter_add_(0, index + height * width, sign * later)
        return grid[: bins * height * width]

    def numpy_bincount() -> np.ndarray:
        position = (t - t[0]) * ((bins - 1) / (t[-1] - t[0]))
        lower = position.astype(np.int64)
        later = position - lower
        sign = p * 2.0 - 1.0
        index = lower * (height * width) + y.astype(np.int64) * width + x
        size = (bins + 1) * height * width
        grid = np.bincount(index, sign * (1 - later), size)
        grid += np.bincount(index + height * width, sign * later, size + height * width)[:size]
        return grid[: bins * height * width].astype(np.float32)

    candidates["torch scatter_add_"] = torch_scatter
    candidates["numpy bincount"] = numpy_bincount
    if peers["eventcv"] is not None:
        stream = peers["eventcv"].from_numpy(
            np.stack([x, y, t, p], 1).astype(np.int64), time_unit="us", sensor_size=(width, height)
        )
        candidates["eventcv"] = lambda: stream.voxel(bins=bins).numpy()
    if peers["tonic"] is not None:
        plain = np.zeros(len(t), [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i2")])
        plain["x"], plain["y"], plain["t"], plain["p"] = x, y, t, p
        to_voxel = importlib.import_module("tonic.functional").to_voxel_grid_numpy
        candidates["tonic"] = lambda: to_voxel(plain.copy(), (width, height, 2), bins)
    if peers["evlib"] is not None:
        polars = importlib.import_module("polars")
        frame = polars.DataFrame(
            {"x": x.astype(np.int16), "y": y.astype(np.int16), "t": t * 1e-6, "polarity": p.astype(np.int8)}
        )
        candidates["evlib"] = lambda: peers["evlib"].create_voxel_grid(frame.lazy(), height, width, bins)
    return candidates


def packet_candidates(
    data: bytes, width: int, height: int, bins: int, peers: dict[str, Any], folder: Path
) -> tuple[Candidates, Candidates]:
    """Ways to decode EVT 3.0, and ways from its packets to a grid."""
    chunk = 1 << 17
    packets = [np.frombuffer(data[i : i + chunk], np.uint8) for i in range(0, len(data), chunk)]
    raw = folder / f"events_{width}_{len(data)}.raw"
    raw.write_bytes(f"% evt 3.0\n% format EVT3;height={height};width={width}\n% end\n".encode() + data)

    def decode() -> int:
        decoder = EventDecoder("evt3", width, height)
        return sum(len(decoder.decode(packet)) for packet in packets)

    stream = EventStream(EventWindow(duration_ms=10_000.0 if bins < 2 else 60.0), bins)

    def to_grid() -> Any:
        stream.reset()
        for seq, packet in enumerate(packets):
            stream.add(EventPacketFields("evt3", packet, width, height, seq, 0, 1 + seq), None)
        return stream.finish()[-1].grid

    decoding: Candidates = {"madm_ros": decode}
    grids: Candidates = {"madm_ros": to_grid}
    ecv, rust, evutils = peers["eventcv"], peers["evt3"], peers["evutils"]
    if rust is not None:
        decoding["evt3"] = lambda: rust.decode_bytes(data)
    if evutils is not None:
        reader = importlib.import_module("evutils.io").EventReader

        def read_all() -> list[Any]:
            return list(reader(str(raw)))

        decoding["evutils (file)"] = read_all
    if ecv is not None:
        decoding["eventcv (file)"] = lambda: ecv.load(str(raw))
        grids["eventcv (file)"] = lambda: ecv.load(str(raw)).voxel(bins=bins).numpy()
    for name, function in (("evt3", rust), ("evutils", evutils)):
        if function is None:
            continue

        def combined(name: str = name) -> Any:
            if name == "evt3":
                found = rust.decode_bytes(data)
                columns = [
                    np.asarray(found.x),
                    np.asarray(found.y),
                    np.asarray(found.timestamp),
                    np.asarray(found.polarity),
                ]
            else:
                parts = list(reader(str(raw)))
                columns = [np.concatenate([np.asarray(part[key]) for part in parts]) for key in ("x", "y", "t", "p")]
            tx, ty, tt, tp = (torch.from_numpy(column.astype(np.int64)) for column in columns)
            position = (tt - tt[0]).float() * ((bins - 1) / float(tt[-1] - tt[0]))
            lower = position.floor()
            later = position - lower
            sign = tp.float() * 2 - 1
            index = lower.long() * (height * width) + ty * width + tx
            grid = torch.zeros((bins + 1) * height * width)
            grid.scatter_add_(0, index, sign * (1 - later))
            grid.scatter_add_(0, index + height * width, sign * later)
            return grid

        grids[f"{name} + torch"] = combined
    return decoding, grids


def after_last_packet(width: int, height: int, bins: int, rate: float, rounds: int) -> float:
    """Median seconds from the packet that closes a 10 ms window to its grid, at ``rate`` events a second."""
    windows = rounds + 2
    events = moving_edges(int(rate * 0.01 * windows), width, height, 10_000 * windows)
    stream = EventStream(EventWindow(duration_ms=10), bins)
    # Packets of a millisecond, and at each window's end one of 5 us: the packet that tells that the window is over.
    cuts = np.sort(
        np.concatenate([np.arange(0, 10_000 * windows, 1000), np.arange(10_000, 10_000 * windows, 10_000) + 5])
    )
    bounds = np.searchsorted(events["t"] - events["t"][0], cuts)
    times = []
    for seq, part in enumerate(np.split(events, bounds[1:])):
        data = np.frombuffer(encode_evt3(part), np.uint8)
        packet = EventPacketFields("evt3", data, width, height, seq, 0, 1 + seq * 1_000_000)
        started = clock()
        if stream.add(packet, None):
            times.append(clock() - started)
    return statistics.median(times)


def two_streams(function: Callable[[], Any], rounds: int) -> float:
    """Median seconds of two threads each running ``function`` once; kernels release the GIL."""
    times = []
    for _ in range(rounds):
        threads = [threading.Thread(target=function) for _ in range(2)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def read_bandwidth() -> float:
    """Bytes a second that one thread reads from memory."""
    array = np.ones(40_000_000)
    seconds = race({"sum": array.sum}, 5)["sum"]
    return array.nbytes / seconds


def show(title: str, count: int, medians: dict[str, float], rows: list[dict[str, Any]]) -> None:
    """Print one comparison and keep it."""
    ours = medians["madm_ros"]
    print(f"\n{title}")
    for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
        print(f"  {name:22s} {count / seconds / 1e6:8.1f} Mev/s   x{seconds / ours:6.2f}")
    rows.append({"title": title, "events": count, "seconds": medians})


def main() -> None:
    """Run all comparisons, print them, and write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 million events and few rounds")
    parser.add_argument("--json", type=Path, help="write all medians to this file")
    parser.add_argument("--recording", type=Path, help="a bag of EventPackets to decode besides")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time of this process on a core instead of the clock: for a busy machine",
    )
    arguments = parser.parse_args()
    global clock
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    torch.set_num_threads(1)
    rounds = 5 if arguments.quick else 9
    peers = {name: peer(name) for name in ("eventcv", "tonic", "evlib", "evt3", "evutils")}
    rows: list[dict[str, Any]] = []
    bandwidth = read_bandwidth()
    print(f"kernels ready after {warm_up():.1f} s; one thread reads {bandwidth / 1e9:.1f} GB/s")
    for width, height in SIZES:
        for count in (1_000_000,) if arguments.quick else (1_000_000, 10_000_000):
            events = moving_edges(count, width, height, WINDOW_US)
            for bins in (5, 15):
                candidates = voxel_candidates(events, width, height, bins, peers)
                if count > 1_000_000:
                    candidates = {k: v for k, v in candidates.items() if k not in ("tonic", "evlib")}
                bound = count * 13 / bandwidth + bins * width * height * 4 / bandwidth
                medians = race(candidates, rounds)
                show(f"voxel grid {width}x{height} B={bins} {count // 1_000_000}M events", count, medians, rows)
                both = two_streams(candidates["madm_ros"], rounds)
                print(f"  two threads            {2 * count / both / 1e6:8.1f} Mev/s together")
                print(f"  bound by bandwidth     {count / bound / 1e6:8.1f} Mev/s")
                rows[-1] |= {"two_threads_seconds": both, "bound_seconds": bound}
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            events = moving_edges(1_000_000, width, height, WINDOW_US)
            decoding, grids = packet_candidates(encode_evt3(events), width, height, 5, peers, Path(folder))
            show(f"decode evt3 {width}x{height}", len(events), race(decoding, rounds), rows)
            show(f"evt3 packets to a grid {width}x{height} B=5", len(events), race(grids, rounds), rows)
        if arguments.recording:
            from madm_core.data.bag import BagReader
            from madm_core.messages.event_messages import parse_event_packet

            with BagReader(arguments.recording) as bag:
                fields = [parse_event_packet(message[3])[0] for message in bag.messages()]
            data = b"".join(bytes(field.data) for field in fields)
            size = fields[0].width, fields[0].height
            count = len(EventDecoder("evt3", *size).decode(data))
            decoding, _ = packet_candidates(data, *size, 5, peers, Path(folder))
            show("decode evt3, the real recording", count, race(decoding, rounds), rows)
    print("\nfrom the packet that closes a 10 ms window at 50 Mev/s to its grid")
    for width, height in SIZES:
        seconds = after_last_packet(width, height, 5, 50e6, 10)
        print(f"  {width}x{height} B=5  {seconds * 1e3:.2f} ms")
        rows.append({"title": f"window close {width}x{height}", "events": 250, "seconds": {"madm_ros": seconds}})
    if arguments.json:
        report = {
            "read_bandwidth": bandwidth,
            "cpu_time": arguments.cpu_time,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
