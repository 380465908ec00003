"""Faults in a running system: each is done to a node in a process of its own, over DDS, and what must hold is checked.

The network is a stand-in that reads the number in each picture, so that every label image can be traced to its picture
and its model. In all scenarios: the node lives, label images belong to their stamps, and
received = published + dropped + rejected in its diagnostics.

    python benchmarks/faults.py [--only NAME ...] [--list] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fault_node import Broken
from fault_operation import (
    disk_full,
    lifecycle_under_load,
    parameters_under_load,
    reload_under_load,
    signals,
    small_shared_memory,
    worker_fails,
)
from fault_streams import (
    bag_loops,
    changes_in_mid_stream,
    odd_stamps,
    publisher_restarted,
    sensor_stops,
    simulated_clock,
    slow_and_fast,
    subscriber_that_never_reads,
    two_publishers,
)
from numbered import Rig, serve
from processes import isolate

SCENARIOS: dict[str, Callable[[], str]] = {
    scenario.__name__: scenario
    for scenario in (
        publisher_restarted, two_publishers, changes_in_mid_stream, odd_stamps, slow_and_fast, sensor_stops,
        bag_loops, simulated_clock, subscriber_that_never_reads, reload_under_load, lifecycle_under_load,
        parameters_under_load, signals, disk_full, worker_fails, small_shared_memory,
    )
}  # fmt: skip


def publish_for_ever(first: int) -> None:
    """Another process's publisher: 30 Hz from this number on."""
    rig = Rig("camera_driver", "best_effort")
    rig.next_number = first
    while True:
        rig.stream(10.0, 30.0)


def subscribe() -> None:
    """Another process that subscribes reliably to all results."""
    import rclpy
    from sensor_msgs.msg import Image

    rclpy.init()
    listener = rclpy.create_node("listener")
    for name in ("labels", "confidence", "overlay", "input_preview"):
        listener.create_subscription(Image, f"segmentation/{name}", lambda message: None, 10)
    rclpy.spin(listener)


def main() -> int:
    """Run scenarios, print the table; 1 when something did not hold."""
    parser = argparse.ArgumentParser(description="Faults in a running system.")
    parser.add_argument("--only", choices=list(SCENARIOS), action="append", help="this scenario only; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--delay", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--publish", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    arguments, ros_arguments = parser.parse_known_args()
    isolate()
    if arguments.serve:
        return serve(ros_arguments, arguments.delay, arguments.load)
    if arguments.publish is not None:
        publish_for_ever(arguments.publish)
    if arguments.read:
        subscribe()
    rows = []
    print("| scenario | what is done | held | measured | s |\n|---|---|---|---|---|")
    for name in [] if arguments.list else arguments.only or SCENARIOS:
        began = time.monotonic()
        try:
            held, measured = True, SCENARIOS[name]()
        except Broken as error:
            held, measured = False, str(error)
        except Exception:
            held, measured = False, traceback.format_exc()
        what = (SCENARIOS[name].__doc__ or "").strip()
        seconds = time.monotonic() - began
        rows.append({"scenario": name, "what": what, "held": held, "measured": measured, "seconds": seconds})
        print(f"| {name} | {what} | {'yes' if held else 'NO'} | {measured} | {seconds:.0f} |", flush=True)
    if arguments.list:
        print("\n".join(f"{name}: {scenario.__doc__}" for name, scenario in SCENARIOS.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"benchmark": "faults", "results": rows}, indent=2) + "\n")
    return 0 if all(row["held"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
