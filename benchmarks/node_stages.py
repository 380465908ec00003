"""Where the node's time goes: processor time of each step of a frame, by size and encoding.

    python benchmarks/node_stages.py
    python benchmarks/node_stages.py --profile node.prof && python -m flameprof node.prof > node.svg

The node's own code runs under cProfile with the worker thread's clock, so other work on the machine does not count. The
profiler itself adds some 0.3 ms to a frame. Images come at 30 Hz, as from a camera, and a subscriber in another context
takes the results.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import sys
import threading
import time
from pathlib import Path

import rclpy
from node_latency import ENCODINGS, FIRST_WORD, PROFILE, SIZES, WaitingSegmenter, test_pixels
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from madm_core.labels import LabelSet
from madm_core.modalities import modality_named
from madm_ros.image_conversion import array_to_message
from madm_ros.inputs import Frame
from madm_ros.process_memory import keep_freed_memory, run_opencv_alone
from madm_ros.segmentation_node import SegmentationNode

PROFILED = "640x480 16UC1 with holes"
STAGES = {
    "inputs.py:decode": "read the message",
    "depth.py:encode": "encode the picture (depth)",
    "thermal.py:encode": "encode the picture (thermal)",
    "pipeline.py:input_values": "facts for diagnostics",
    "pictures.py:to_uint8": "confidence to 8 bits",
    "image_conversion.py:array_to_message": "make two messages",
    "publisher.py:publish": "publish them",
}
"""Function of the node -> what it does."""


def stages(encoding: str, size: tuple[int, int], frames: int, profile_file: Path | None = None) -> dict[str, float]:
    """Processor time of each step of a frame's way through the node, in milliseconds: means in the worker's thread."""
    name, dtype = ENCODINGS[encoding]
    pixels = test_pixels(encoding, size)
    raw = bytes(serialize_message(array_to_message(pixels.astype(dtype), FIRST_WORD.match(encoding)[0], Header())))
    context, other = rclpy.Context(), rclpy.Context()
    rclpy.init(context=context, args=["--ros-args", "-p", "model:=waiting"])
    rclpy.init(context=other)
    network = WaitingSegmenter(modality_named(name), LabelSet.named("madm11"), 0.0)
    node = SegmentationNode(load=lambda parameters: network, context=context)
    node.autostart()
    reader = rclpy.create_node("reader", context=other)
    for topic in ("segmentation/labels", "segmentation/confidence"):
        reader.create_subscription(Image, topic, lambda message: None, 1)
    assert node.stream is not None
    handle = node.stream.pipeline.handle
    profile = cProfile.Profile(time.thread_time)

    def run() -> None:
        for number in range(frames + 30):
            time.sleep(1 / 30)
            if number == 30:
                profile.enable()
            handle(Frame(raw, 1, time.perf_counter()))
        profile.disable()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    node.destroy_node()
    reader.destroy_node()
    rclpy.shutdown(context=context)
    rclpy.shutdown(context=other)
    if profile_file is not None:
        profile.dump_stats(profile_file)
    spent: dict[str, float] = {}
    for (file, _, function), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        key = f"{Path(file).name}:{function}"
        spent[key] = spent.get(key, 0.0) + cumulative / frames * 1e3
    found = {label: spent.get(key, 0.0) for key, label in STAGES.items()}
    whole = spent["pipeline.py:_segment"] - spent["node_latency.py:segment"]
    return {**found, "the rest (bookkeeping)": whole - sum(found.values()), "all": whole}


def main() -> int:
    """Measure and print; write JSON or a profile if asked to."""
    parser = argparse.ArgumentParser(description="Processor time of each step in the node.")
    parser.add_argument("--frames", type=int, default=90, help="frames of each column")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--profile", type=Path, help=f"only {PROFILED}, and its profile into this file")
    arguments = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILE))
    keep_freed_memory()
    run_opencv_alone()
    if arguments.profile is not None:
        columns = {PROFILED: stages("16UC1 with holes", SIZES["640x480"], 300, arguments.profile)}
    else:
        columns = {
            f"{size} {encoding}": stages(encoding, SIZES[size], arguments.frames)
            for size in SIZES
            for encoding in ENCODINGS
        }
    print("| processor time, ms | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for label in next(iter(columns.values())):
        print(f"| {label} | " + " | ".join(f"{column[label]:.2f}" for column in columns.values()) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(columns, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
