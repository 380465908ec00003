"""Event decoding and accumulation against the packages that are installed, on the same arrays in one run.

All candidates of a row are timed in turn, round after round, so that a busy machine is equally unkind to all; ratios
are of medians. Every candidate runs in one thread. One that fails is named with its error and left out of its row.

    python benchmarks/events.py [--quick] [--cpu-time] [--json FILE] [--markdown FILE] [--recording BAG]

Peers are optional: eventcv, tonic, evlib, evt3, evutils. In an environment of their own they are found when its
site-packages is given as --peers DIRECTORY; it is put at the end of Python's path, so that nothing of ours is replaced.
On a quiet machine of 2 cores --quick takes about a minute (1 million events) and a full run about seven (also 10).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np
import torch
from event_data import encode_evt3, moving_edges, random_mono
from event_peers import OURS, SLOW, Candidates, find_peers, packet_candidates, versions, voxel_candidates

from madm_core.events import EventDecoder, EventPacketFields, EventStream, EventWindow, warm_up

SIZES = ((640, 480), (1280, 720))
WINDOW_US = 50_000
EVENT_BYTES = 13
BESIDE = ("two_threads", "two_threads_of_peer", "bound")
"""Seconds stated beside a row's medians."""

clock: Callable[[], float] = time.perf_counter


def race(candidates: Candidates, rounds: int) -> tuple[dict[str, float], dict[str, str]]:
    """Median seconds of each candidate, timed in turn, and the errors of those that failed."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    errors: dict[str, str] = {}
    for _ in range(rounds):
        for name, function in candidates.items():
            if name in errors:
                continue
            try:
                function()  # so that the timed call finds its own memory in the caches, as in a stream of frames
                started = clock()
                function()
                times[name].append(clock() - started)
            except Exception as error:  # a peer's failure is a line of the table, not the end of the run
                if name == OURS:
                    raise
                errors[name] = f"{type(error).__name__}: {error}"
    return {name: statistics.median(values) for name, values in times.items() if name not in errors}, errors


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


def nanosecond_windows(width: int, height: int, bins: int, rounds: int) -> float:
    """Median seconds of an event from ``mono`` packets, 80,000 events in 4 ms each, to windows of 50 ms."""
    data, packet_ns, count = random_mono(80_000, width, height, 4_000_000), 4_000_000, 50
    stream, seconds = EventStream(EventWindow(duration_ms=50), bins), []
    for first in range(0, (1 + rounds) * count, count):
        started = clock()
        for seq in range(first, first + count):
            stamp_ns = 10**12 + seq * packet_ns
            stream.add(EventPacketFields("mono", data, width, height, seq, stamp_ns, stamp_ns), None)
        seconds.append((clock() - started) / (count * 80_000))
    return statistics.median(seconds[1:])


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
    seconds, _ = race({"sum": array.sum}, 5)
    return array.nbytes / seconds["sum"]


def fastest_peer(seconds: dict[str, float]) -> str | None:
    """Name of the fastest candidate that is not ours."""
    return min((name for name in seconds if not name.startswith(OURS)), key=lambda name: seconds[name], default=None)


class Report:
    """Prints comparisons as they are made, and keeps them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, title: str, count: int, candidates: Candidates, rounds: int, **more: float) -> None:
        """Measure one row; ``more`` are seconds of other things to state beside it."""
        medians, errors = race(candidates, rounds)
        fastest = fastest_peer(medians)
        if fastest and "two_threads" in more:
            more["two_threads_of_peer"] = two_streams(candidates[fastest], rounds) / 2
        ours = medians[OURS]
        print(f"\n{title}")
        for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
            print(f"  {name:24s} {count / seconds / 1e6:8.1f} Mev/s   x{seconds / ours:6.2f}")
        for name, error in errors.items():
            print(f"  {name:24s} failed: {error}")
        for name, seconds in more.items():
            print(f"  {name.replace('_', ' '):24s} {count / seconds / 1e6:8.1f} Mev/s", flush=True)
        self.rows.append({"title": title, "events": count, "seconds": medians, "errors": errors, **more})

    def markdown(self) -> str:
        """The comparisons as a table: million events a second and the ratio to the fastest peer."""
        lines = [
            "| what | ours | fastest peer | ratio | two threads, ours / peer | bound |",
            "|---|---:|---|---:|---:|---:|",
        ]
        for row in self.rows:
            rate = {name: row["events"] / seconds / 1e6 for name, seconds in row["seconds"].items()}
            best = fastest_peer(row["seconds"])
            peer = f"{rate[best]:.1f} {best} | {rate[OURS] / rate[best]:.2f}" if best else " | "
            rest = {key: f"{row['events'] / row[key] / 1e6:.0f}" for key in row.keys() & set(BESIDE)}
            threads = " / ".join(rest[key] for key in BESIDE[:2] if key in rest)
            lines.append(f"| {row['title']} | {rate[OURS]:.0f} | {peer} | {threads} | {rest.get('bound', '')} |")
        return "\n".join(lines) + "\n"


def voxel_grids(report: Report, peers: dict[str, Any], counts: tuple[int, ...], rounds: int, bandwidth: float) -> None:
    """Arrays of events to grids."""
    for width, height in SIZES:
        for count in counts:
            events = moving_edges(count, width, height, WINDOW_US)
            for bins in (5, 15):
                candidates = voxel_candidates(events, width, height, bins, peers)
                if count > 1_000_000:
                    candidates = {name: function for name, function in candidates.items() if name not in SLOW}
                report.add(
                    f"voxel grid {width}x{height}, B = {bins}, {count // 1_000_000}M events", count, candidates, rounds,
                    two_threads=two_streams(candidates[OURS], rounds) / 2,
                    bound=(count * EVENT_BYTES + bins * width * height * 4) / bandwidth,
                )  # fmt: skip


def packets(report: Report, peers: dict[str, Any], rounds: int, recording: Path | None) -> None:
    """EVT 3.0 to arrays, and to grids."""
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            events = moving_edges(1_000_000, width, height, WINDOW_US)
            decoding, grids = packet_candidates(encode_evt3(events), width, height, 5, peers, Path(folder))
            report.add(f"decode evt3, {width}x{height}", len(events), decoding, rounds)
            report.add(f"evt3 packets to a grid, {width}x{height}, B = 5", len(events), grids, rounds)
        if recording is not None:
            from madm_core.data.bag import BagReader
            from madm_core.messages.event_messages import parse_event_packet

            with BagReader(recording) as bag:
                fields = [parse_event_packet(message[3])[0] for message in bag.messages()]
            data = b"".join(bytes(field.data) for field in fields)
            size = fields[0].width, fields[0].height
            count = len(EventDecoder("evt3", *size).decode(data))
            decoding, _ = packet_candidates(data, *size, 5, peers, Path(folder))
            report.add("decode evt3, the real recording", count, decoding, rounds)

            def windows() -> float:
                stream = EventStream(EventWindow(duration_ms=50), 5)
                closed = [window for field in fields for window in stream.add(field, None)]
                return (closed[-1].t_end_ns - closed[0].t_start_ns) * 1e-9

            seconds = race({"windows": windows}, rounds)[0]["windows"]
            print(f"\nwindows of 50 ms of the real recording: {seconds * 1e3:.1f} ms for {windows():.2f} s of it")
            report.rows[-1]["windows_seconds"] = seconds


def main() -> None:
    """Run all comparisons, print them, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 million events and few rounds")
    parser.add_argument("--json", type=Path, help="write all medians to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    parser.add_argument("--recording", type=Path, help="a bag of EventPackets to decode besides")
    parser.add_argument("--peers", type=Path, help="site-packages of an environment that has the peers")
    parser.add_argument(
        "--cpu-time", action="store_true", help="time on a core instead of the clock: for a busy machine"
    )
    arguments = parser.parse_args()
    global clock
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    if arguments.peers:
        sys.path.append(str(arguments.peers))
    torch.set_num_threads(1)
    began = time.monotonic()
    rounds = 5 if arguments.quick else 9
    peers = find_peers()
    bandwidth = read_bandwidth()
    print(
        f"kernels ready after {warm_up():.1f} s; one thread reads {bandwidth / 1e9:.1f} GB/s; peers: {versions(peers)}"
    )
    report = Report()
    counts = (1_000_000,) if arguments.quick else (1_000_000, 10_000_000)
    voxel_grids(report, peers, counts, rounds, bandwidth)
    packets(report, peers, rounds, arguments.recording)
    print("\nfrom the packet that closes a 10 ms window at 50 Mev/s to its grid")
    closing = {}
    for width, height in SIZES:
        closing[f"{width}x{height}"] = after_last_packet(width, height, 5, 50e6, 10)
        print(f"  {width}x{height} B=5  {closing[f'{width}x{height}'] * 1e3:.2f} ms")
    print("\nmono packets, whose times are in nanoseconds, to windows of 50 ms")
    nanoseconds = {}
    for width, height in SIZES:
        nanoseconds[f"{width}x{height}"] = nanosecond_windows(width, height, 3, rounds)
        print(f"  {width}x{height} B=3  {1e-6 / nanoseconds[f'{width}x{height}']:.1f} Mev/s")
    print(f"\n{report.markdown()}\n{time.monotonic() - began:.0f} s")
    if arguments.markdown:
        arguments.markdown.write_text(report.markdown())
    if arguments.json:
        facts = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "load_average": os.getloadavg(),
            "cores": os.cpu_count(),
            "seconds": time.monotonic() - began,
            "read_bandwidth": bandwidth,
            "cpu_time": arguments.cpu_time,
            "versions": {"torch": torch.__version__, "numpy": np.__version__, **versions(peers)},
            "window_close_seconds": closing,
            "nanosecond_event_seconds": nanoseconds,
            "rows": report.rows,
        }
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
