"""The memory of ``evaluate_bag`` while it goes through a large bag: it must not grow with the bag.

A bag of depth images (1920x1080, 16UC1, 4.1 MB each, all different) with ground truth for a few of them is written to a
temporary folder, evaluated by a process of its own, and removed. That process is watched through /proc (Linux): its
resident memory, and how much of the bag it has read.

    python benchmarks/bag_memory.py [--gb 10] [--frames 24] [--storage mcap] [--folder DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from processes import process_status

from madm_core.data.bag_writer import BagWriter
from madm_core.data.message_types import standard_types
from madm_core.messages.image_arrays import array_to_image_fields

REPOSITORY = Path(__file__).resolve().parents[1]
IMAGE = "sensor_msgs/msg/Image"
HEIGHT, WIDTH = 1080, 1920
START_NS, STEP_NS = 1_700_000_000_000_000_000, 33_333_333
PERIOD_S = 0.1


def serialized(array: np.ndarray, encoding: str) -> bytearray:
    """The CDR bytes of an image message without a stamp."""
    fields = array_to_image_fields(array, encoding)
    fields["data"] = np.frombuffer(fields["data"], np.uint8)
    return bytearray(standard_types().encode(IMAGE, {"header": {"frame_id": "depth"}, **fields}))


def stamp(message: bytearray, stamp_ns: int) -> None:
    """Puts a stamp into a serialized message: it begins after the four bytes of the encapsulation."""
    message[4:12] = np.array([stamp_ns // 10**9, stamp_ns % 10**9], "<u4").tobytes()


def write_bag(path: Path, gigabytes: float, labelled: int, storage: str) -> int:
    """Writes the bag message by message; the number of images."""
    rows = np.linspace(60000, 2000, HEIGHT, dtype=np.uint16)[:, None]
    image = serialized(np.broadcast_to(rows, (HEIGHT, WIDTH)) + np.arange(WIDTH, dtype=np.uint16) % 97, "16UC1")
    labels = serialized(np.repeat((np.arange(HEIGHT) * 11 // HEIGHT).astype(np.uint8)[:, None], WIDTH, 1), "mono8")
    count = max(labelled, round(gigabytes * 1e9 / len(image)))
    every = count // labelled
    with BagWriter(path, storage=storage) as bag:
        for number in range(count):
            stamp_ns = START_NS + number * STEP_NS
            stamp(image, stamp_ns)
            image[-8:] = number.to_bytes(8, "little")
            bag.add("/depth", IMAGE, image, stamp_ns)
            if number % every == 0:
                stamp(labels, stamp_ns)
                bag.add("/labels", IMAGE, labels, stamp_ns)
    return count


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory in all, and that of it which is the process' own (no mapped files), in MB."""
    status = process_status(pid)
    return status["VmRSS"] * 1024 / 1e6, status["RssAnon"] * 1024 / 1e6


def bytes_read(pid: int) -> int:
    """What the process has read from files so far."""
    fields = dict(line.split(": ", 1) for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["rchar"])


def watch(process: subprocess.Popen[bytes]) -> list[tuple[float, int, float, float]]:
    """(seconds, bytes read, resident MB, own MB) until the process ends."""
    samples = []
    began = time.monotonic()
    while process.poll() is None:
        try:
            samples.append((time.monotonic() - began, bytes_read(process.pid), *memory_mb(process.pid)))
        except (OSError, KeyError):
            break  # it has ended in this moment
        time.sleep(PERIOD_S)
    process.wait()
    return samples


def tenths(samples: list[tuple[float, int, float, float]], size: int) -> list[dict[str, float]]:
    """The highest memory while each tenth of the bag was read; the last ``size`` bytes that were read are the bag."""
    before = samples[-1][1] - size
    rows = []
    for tenth in range(10):
        low, high = before + size * tenth / 10, before + size * (tenth + 1) / 10
        own = [sample for sample in samples if low <= sample[1] < high or (tenth == 9 and sample[1] >= high)]
        if own:
            rows.append({
                "tenth": tenth + 1, "seconds": own[-1][0], "resident_mb": max(sample[2] for sample in own),
                "own_mb": max(sample[3] for sample in own),
            })  # fmt: skip
    return rows


def main() -> int:
    """Writes, evaluates, prints and removes; 1 when the evaluation failed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--gb", type=float, default=10.0, help="size of the bag in 10^9 bytes (default 10)")
    options.add_argument("--frames", type=int, default=24, help="images with ground truth, which are scored")
    options.add_argument("--storage", choices=["mcap", "sqlite3"], default="mcap")
    options.add_argument("--model", default=str(REPOSITORY / "demo" / "models" / "street-depth"))
    options.add_argument("--folder", help="where the bag is put meanwhile (default: the system's temporary folder)")
    options.add_argument("--json", help="also write the numbers here")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bag_memory_", dir=chosen.folder))
    try:
        if shutil.disk_usage(folder).free < chosen.gb * 1.1e9:
            print(f"error: less than {chosen.gb * 1.1:g} GB free in {folder}", file=sys.stderr)
            return 1
        began = time.monotonic()
        count = write_bag(folder / "bag", chosen.gb, chosen.frames, chosen.storage)
        size = sum(file.stat().st_size for file in (folder / "bag").iterdir())
        print(f"{count} images, {size / 1e9:.2f} GB ({chosen.storage}), written in {time.monotonic() - began:.0f} s")
        command = [sys.executable, "-m", "madm_ros.commands.evaluate_bag", str(folder / "bag"), "--model", chosen.model]
        command += ["--topic", "/depth", "--label-topic", "/labels", "--device", "cpu", "--output", str(folder / "out")]
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        samples = watch(process)
        if process.returncode or not samples:
            print(f"error: evaluate_bag ended with {process.returncode}", file=sys.stderr)
            return 1
        scored = json.loads((folder / "out" / "metrics.json").read_text())["frames"]["scored"]
        rows = tenths(samples, size)
        print(f"evaluated in {samples[-1][0]:.0f} s, {scored} frames scored\n")
        print(f"{'tenth of the bag':>16} {'after s':>8} {'peak RSS MB':>12} {'of it own MB':>13}")
        for row in rows:
            print(f"{row['tenth']:>16} {row['seconds']:>8.0f} {row['resident_mb']:>12.0f} {row['own_mb']:>13.0f}")
        quarters = [
            max(sample[2] for sample in samples if sample[1] >= start and sample[1] <= start + size / 4)
            for start in (samples[-1][1] - size, samples[-1][1] - size / 4)
        ]
        growth = quarters[1] - quarters[0]
        print(f"\npeak RSS in the first quarter {quarters[0]:.0f} MB, in the last {quarters[1]:.0f} MB: "
              f"{growth:+.0f} MB over {size / 1e9:.2f} GB")  # fmt: skip
        if chosen.json:
            numbers = {
                "gigabytes": size / 1e9, "storage": chosen.storage, "images": count, "scored": scored,
                "seconds": samples[-1][0], "tenths": rows, "first_quarter_mb": quarters[0],
                "last_quarter_mb": quarters[1],
            }  # fmt: skip
            Path(chosen.json).write_text(json.dumps(numbers, indent=2) + "\n")
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
