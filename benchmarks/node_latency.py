"""What the node adds to the network: overhead of a frame, and the age of labels when frames come too fast.

The node runs in a process of its own with a network that only waits (as one on a GPU does); images go there and labels
come back over DDS. Everything that is not that waiting is overhead: transport, decoding, encoding the picture,
publishing, Python.

    python benchmarks/node_latency.py [--seconds 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from processes import isolate, node_command

HERE = Path(__file__).resolve()
SIZES = {"640x480": (480, 640), "1280x720": (720, 1280)}
ENCODINGS = {
    "16UC1": ("depth", np.uint16),
    "16UC1 with holes": ("depth", np.uint16),
    "32FC1": ("depth", np.float32),
    "mono16": ("thermal", np.uint16),
}
FIRST_WORD = re.compile(r"\w+")
OVERLOAD_INFERENCE_S = 0.1


@dataclass
class WaitingSegmenter:
    """A network that takes a given time without using the processor."""

    modality: Any
    label_set: Any
    delay_s: float
    device: str = "none"
    precision: str = "none"
    description: str = "a network that only waits"
    problem: str = ""
    input_statistics: Any = None

    def warm_up(self) -> float:
        return 0.0

    def segment(self, image: Any) -> SimpleNamespace:
        if self.delay_s:
            time.sleep(self.delay_s)
        size = image.image.shape[:2]
        return SimpleNamespace(labels=np.full(size, 3, np.uint8), confidence=np.full(size, 0.5, np.float32))


def serve(modality: str, delay_s: float) -> None:
    """The node's process."""
    from madm_core.labels import LabelSet
    from madm_core.modalities import modality_named
    from madm_ros.node_run import run_node
    from madm_ros.process_memory import settle_memory
    from madm_ros.segmentation_node import SegmentationNode

    network = WaitingSegmenter(modality_named(modality), LabelSet.named("madm11"), delay_s)
    words = ["--ros-args", "-p", "model:=waiting", "-p", "diagnostics_period_s:=0.5"]
    run_node(words, lambda: SegmentationNode(load=lambda parameters: network, after_load=settle_memory))


def test_pixels(encoding: str, size: tuple[int, int]) -> np.ndarray:
    """Noise between 1000 and 10000; with holes: without a measurement on a fifth of the area, in 90 patches."""
    rng = np.random.default_rng(0)
    pixels = 1000 + rng.random(size) * 9000
    if "holes" in encoding:
        height, width = size[0] // 20, size[1] // 20
        for _ in range(90):
            top, left = rng.integers(0, size[0] - height), rng.integers(0, size[1] - width)
            pixels[top : top + height, left : left + width] = 0
    return pixels


def measure(encoding: str, size: tuple[int, int], rate_hz: float, delay_s: float, seconds: float) -> dict[str, Any]:
    """Send frames at a rate; returns round trips without the network's time, and the node's last diagnostics."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from madm_ros.image_conversion import array_to_message
    from madm_ros.qos import input_qos

    modality, dtype = ENCODINGS[encoding]
    command = node_command(HERE, "--serve", modality, "--delay", str(delay_s))
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("bench", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    sent: dict[str, float] = {}
    trips: list[float] = []
    diagnostics: dict[str, str] = {}

    def arrived(message: Image) -> None:
        trips.append((time.perf_counter() - sent[message.header.frame_id] - delay_s) * 1e3)

    def reported(message: DiagnosticArray) -> None:
        diagnostics.update({value.key: value.value for status in message.status for value in status.values})

    node.create_subscription(Image, "segmentation/labels", arrived, 10)
    node.create_subscription(DiagnosticArray, "/diagnostics", reported, 10)
    publisher = node.create_publisher(Image, "image", input_qos("best_effort", 5))
    pixels = test_pixels(encoding, size).astype(dtype)
    message = array_to_message(pixels, FIRST_WORD.match(encoding)[0], Header())
    try:
        while publisher.get_subscription_count() == 0 or node.count_publishers("segmentation/labels") == 0:
            executor.spin_once(timeout_sec=0.05)
        began = time.perf_counter()
        number = 0
        while time.perf_counter() < began + seconds:
            if time.perf_counter() >= began + number / rate_hz:
                message.header.frame_id = str(number)
                message.header.stamp = node.get_clock().now().to_msg()
                sent[message.header.frame_id] = time.perf_counter()
                publisher.publish(message)
                number += 1
            executor.spin_once(timeout_sec=max(0.0, began + number / rate_hz - time.perf_counter()))
        while diagnostics.get("frames_pending") != "0" or time.perf_counter() < began + seconds + 1.5:
            executor.spin_once(timeout_sec=0.05)
    finally:
        child.terminate()
        child.wait(20)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
    return {"sent": number, "trips_ms": trips[int(rate_hz) :] or trips, "diagnostics": diagnostics}


def overhead(seconds: float) -> list[dict[str, Any]]:
    """Round trips at 30 Hz with a network that takes no time."""
    rows = []
    for size_name, size in SIZES.items():
        for encoding in ENCODINGS:
            run = measure(encoding, size, 30.0, 0.0, seconds)
            values = run["diagnostics"]
            median, high = np.percentile(run["trips_ms"], (50, 99)).tolist()
            rows.append(
                {
                    "size": size_name,
                    "encoding": encoding,
                    "frames": len(run["trips_ms"]),
                    "round_trip_ms_median": median,
                    "round_trip_ms_p99": high,
                    **{key: float(values[key]) for key in ("wait_ms_median", "decode_ms_median", "publish_ms_median")},
                    "in_node_ms_median": float(values["total_ms_median"]),
                    "in_node_ms_p99": float(values["total_ms_p99"]),
                }
            )
    return rows


def overload(seconds: float) -> dict[str, Any]:
    """50 frames a second for a network that manages 10: the oldest label image's age must not grow."""
    run = measure("16UC1", SIZES["640x480"], 50.0, OVERLOAD_INFERENCE_S, seconds)
    values = run["diagnostics"]
    parts = ("frames_published", "frames_dropped", "frames_rejected", "frames_pending")
    return {
        "inference_ms_max": float(values["inference_ms_max"]),
        "stamp_age_ms_median": float(values["stamp_age_ms_median"]),
        "stamp_age_ms_max": float(values["stamp_age_ms_max"]),
        "allowed_ms": 2 * float(values["inference_ms_max"]) + 20,
        "sent": run["sent"],
        "lost_before_the_node": run["sent"] - int(values["frames_received"]),
        **{key: int(values[key]) for key in ("frames_received", *parts)},
        "adds_up": int(values["frames_received"]) == sum(int(values[key]) for key in parts),
    }


def print_tables(result: dict[str, Any]) -> None:
    """The results as Markdown."""
    print(f"{result['date']}, {result['machine']}, load average {result['load_average']}\n")
    print("| size | encoding | round trip ms median / p99 | in the node ms median / p99 | wait | decode | publish |")
    print("|---|---|---|---|---|---|---|")
    for row in result["overhead"]:
        print(
            f"| {row['size']} | {row['encoding']} | {row['round_trip_ms_median']:.1f} / {row['round_trip_ms_p99']:.1f} "
            f"| {row['in_node_ms_median']:.1f} / {row['in_node_ms_p99']:.1f} "
            f"| {row['wait_ms_median']:.1f} | {row['decode_ms_median']:.1f} | {row['publish_ms_median']:.1f} |"
        )
    row = result["overload"]
    ends = " + ".join(f"{row[f'frames_{end}']} {end}" for end in ("published", "dropped", "rejected", "pending"))
    print(
        f"\nOverload (50 Hz in, {OVERLOAD_INFERENCE_S * 1e3:.0f} ms inference): stamp age median "
        f"{row['stamp_age_ms_median']:.0f} ms, max {row['stamp_age_ms_max']:.0f} ms, allowed {row['allowed_ms']:.0f} ms"
    )
    print(f"{row['frames_received']} received = {ends}: {row['adds_up']}")


def main() -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description="Overhead of the segmentation node without the network.")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--serve", choices=["depth", "thermal"], help=argparse.SUPPRESS)
    parser.add_argument("--delay", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    isolate()
    if arguments.serve:
        serve(arguments.serve, arguments.delay)
        return 0
    result = {
        "benchmark": "node_latency",
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 1),
        "overhead": overhead(arguments.seconds),
        "overload": overload(arguments.seconds),
    }
    print_tables(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
