"""An event camera at full rate through the real node: does it keep up, and what does it shed when it cannot?

A process of its own publishes EVT 3.0 packets of a millisecond over DDS, encoded beforehand, as a driver sends them;
the node is `segment` with a model directory; this process receives the labels and the node's diagnostics.

    python benchmarks/event_node.py [--rate 20e6] [--seconds 30] [--overload 100e6] [--json FILE]

Takes about a minute and a half. The packages of EventPacket are built from test/interfaces where they are missing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from processes import event_message_packages, isolate, process_status

HERE = Path(__file__).resolve()
ROOT = HERE.parents[1]
MODEL = ROOT / "demo" / "models" / "street-event"
HEIGHT, WIDTH = 720, 1280
PACKET_US = 1024
LOOP = 64
"""Packets encoded; they come again and again, with their clock moved on by whole units of its upper word."""
STAMP, SEQ, DATA = 4, 28, 60
"""Offsets into a serialised EventPacket with the frame "cam" and the encoding "evt3"."""


def serialised_packets(rate: float) -> list[tuple[bytearray, np.ndarray]]:
    """``LOOP`` EventPackets as CDR, each with the positions of its time high words."""
    from event_data import encode_evt3, moving_edges

    duration = LOOP * PACKET_US
    events = moving_edges(int(rate * duration * 1e-6), WIDTH, HEIGHT, duration)
    cuts = np.searchsorted(events["t"], np.arange(1, LOOP) * PACKET_US)
    packets = []
    for part in np.split(events, cuts):
        data = encode_evt3(part)
        head = b"\0\1\0\0" + struct.pack("<iII4sII", 0, 0, 4, b"cam\0", HEIGHT, WIDTH)
        head += struct.pack("<QQI5s?2xI", 0, 0, 5, b"evt3\0", False, len(data))
        words = np.frombuffer(data, "<u2")
        packets.append((bytearray(head + data), np.flatnonzero(words >> 12 == 8)))
    return packets


def publish(rate: float, seconds: float) -> None:
    """The camera's process: packets at their time, or as soon after it as this process can."""
    import rclpy

    from madm_ros.message_types import message_class
    from madm_ros.node_parameters import EVENT_PACKET
    from madm_ros.qos import input_qos

    packets = serialised_packets(rate)
    rclpy.init()
    node = rclpy.create_node("camera")
    packet_type = message_class(EVENT_PACKET, otherwise="")
    publisher = node.create_publisher(packet_type, "events", input_qos("best_effort", 1000))
    while publisher.get_subscription_count() == 0:
        time.sleep(0.05)
    time.sleep(1.0)
    began = time.perf_counter()
    first_ns = time.time_ns()
    late = seq = 0
    spent = -time.process_time()
    while (due := seq * PACKET_US * 1e-6) < seconds:
        wait = began + due - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        elif wait < -1.0:
            began -= wait  # the camera itself does not keep up: what it leaves out is no burden of the node's
            first_ns += round(-wait * 1e9)
            late += 1
        packet, highs = packets[seq % LOOP]
        words = np.frombuffer(packet, "<u2", offset=DATA)
        if seq >= LOOP:
            words[highs] = 0x8000 | ((words[highs] + (LOOP * PACKET_US >> 12)) & 0xFFF)
        struct.pack_into("<iI", packet, STAMP, *divmod(first_ns + seq * PACKET_US * 1000, 10**9))
        struct.pack_into("<Q", packet, SEQ, seq)
        publisher.publish(bytes(packet))
        seq += 1
    spent += time.process_time()
    took = time.perf_counter() - began
    print(json.dumps({"packets": seq, "seconds": took, "stalls": late, "cpu_s": spent}), flush=True)
    time.sleep(2.0)
    rclpy.shutdown()


def process_usage(pid: int) -> tuple[float, float]:
    """Processor seconds and the peak of resident memory in MiB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), process_status(pid)["VmHWM"] / 1024


def measure(rate: float, seconds: float, model: Path, window_ms: float) -> dict[str, Any]:
    """Run camera and node; returns what came out."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    segment = [sys.executable, "-m", "madm_ros.commands.segment", "--ros-args"]
    for value in (f"model:={model}", f"modality_overrides:=window_ms={window_ms}", "diagnostics_period_s:=0.5"):
        segment += ["-p", value]
    node_process = subprocess.Popen(segment, cwd=ROOT, stderr=subprocess.DEVNULL)
    rclpy.init()
    node = rclpy.create_node("bench")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    delays: list[float] = []
    arrivals: list[float] = []
    diagnostics: dict[str, str] = {}

    def labelled(message: Image) -> None:
        stamp = message.header.stamp
        delays.append((time.time_ns() - stamp.sec * 10**9 - stamp.nanosec) / 1e6)
        arrivals.append(time.perf_counter())

    def reported(message: DiagnosticArray) -> None:
        diagnostics.update({value.key: value.value for status in message.status for value in status.values})

    node.create_subscription(Image, "segmentation/labels", labelled, 10)
    node.create_subscription(DiagnosticArray, "/diagnostics", reported, 10)
    camera: subprocess.Popen[str] | None = None
    try:
        while node.count_publishers("segmentation/labels") == 0 or node.count_subscribers("events") == 0:
            executor.spin_once(timeout_sec=0.05)
            if node_process.poll() is not None:
                raise SystemExit(f"the node ended with exit code {node_process.returncode}: run {' '.join(segment)}")
        command = [sys.executable, str(HERE), "--publish", str(rate), "--seconds", str(seconds)]
        camera = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while not arrivals and camera.poll() is None:
            executor.spin_once(timeout_sec=0.05)
        cpu_before, _ = process_usage(node_process.pid)
        began = time.perf_counter()
        while camera.poll() is None:
            executor.spin_once(timeout_sec=0.05)
        took = time.perf_counter() - began - 2.0
        end = time.perf_counter() + 2.0
        while time.perf_counter() < end:
            executor.spin_once(timeout_sec=0.05)
        cpu_after, peak = process_usage(node_process.pid)
        assert camera.stdout is not None
        sent = json.loads(camera.stdout.read())
    finally:
        for process in (camera, node_process):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(20)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
    kept = sorted(delays)
    counts = {
        name: int(diagnostics[f"events_{name}"])
        for name in (
            "events", "packets", "lost_packets", "dropped_packets", "dropped_windows", "windows",
            "out_of_order_packets", "resets",
        )
    }  # fmt: skip
    return {
        "rate": rate,
        "window_ms": window_ms,
        "sent_packets": sent["packets"],
        "sent_mev_s": rate * sent["packets"] * PACKET_US * 1e-12 / sent["seconds"],
        "camera_stalls": sent["stalls"],
        "camera_cpu": sent["cpu_s"] / sent["seconds"],
        "node_cpu": (cpu_after - cpu_before) / took,
        "node_peak_mib": peak,
        "windows_sent": sent["packets"] * PACKET_US * 1e-3 / window_ms,
        "labels": len(delays),
        "labels_hz": (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) if len(arrivals) > 1 else 0.0,
        "delay_ms_median": statistics.median(kept) if kept else None,
        "delay_ms_p99": kept[math.ceil(0.99 * len(kept)) - 1] if kept else None,
        "delay_ms_max": kept[-1] if kept else None,
        **counts,
        "frames_dropped": {key: value for key, value in diagnostics.items() if key.startswith("frames_")},
    }


def environment() -> dict[str, str]:
    """What the processes need: the message packages, the middleware's profile, and no other ROS nodes."""
    isolate()
    before = [path for path in (os.environ.get("PYTHONPATH"),) if path]
    paths = [*event_message_packages(), str(HERE.parent), str(ROOT), *before]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MADM_EVENT_NODE_BENCHMARK": "1"}


def main() -> None:
    """Measure at the rate that must be kept up with, then at one that cannot be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20e6, help="events a second that the node must keep up with")
    parser.add_argument("--overload", type=float, default=100e6, help="events a second of the second run; 0 for none")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each run")
    parser.add_argument("--window-ms", type=float, default=50.0)
    parser.add_argument("--model", type=Path, default=MODEL, help="model directory of an event camera")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--publish", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.publish:
        publish(arguments.publish, arguments.seconds)
        return
    if "MADM_EVENT_NODE_BENCHMARK" not in os.environ:  # the middleware reads its environment when it is loaded
        os.execve(sys.executable, [sys.executable, str(HERE), *sys.argv[1:]], environment())
    runs = []
    for rate in (arguments.rate, arguments.overload):
        if rate:
            runs.append(measure(rate, arguments.seconds, arguments.model, arguments.window_ms))
            print(f"\n{rate / 1e6:.0f} Mev/s at {WIDTH}x{HEIGHT}, windows of {arguments.window_ms:g} ms")
            for name, value in runs[-1].items():
                print(f"  {name:22s} {value:.2f}" if isinstance(value, float) else f"  {name:22s} {value}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"load_average": os.getloadavg(), "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
