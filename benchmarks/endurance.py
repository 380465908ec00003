"""Hours in minutes: a node under a steady load with listeners that come and go; what must not grow, does not.

Pictures of 640x480 at a steady rate (or events in packets at a steady number of events per second), a subscriber of the
overlay that is there at random, a reload now and then. Memory, open files and threads of the node's process, and the
time a frame spends in the node, are read every second and compared: first minute against last, and memory by tenths of
the run, of which lowest, median and highest must not grow. In the first minute, which is not compared, a listener is
stopped for three seconds, so that the queues for late readers, which are bounded, are as long as they get.

    python benchmarks/endurance.py [--minutes 60] [--rate 30] [--events 0] [--json FILE]
    python benchmarks/endurance.py --minutes 10 --events 20e6
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from numbered import Rig, serve, start_node
from processes import event_message_packages, isolate, process_status

HERE = Path(__file__).resolve()
SIZE = (480, 640)
EVENT_SIZE = (720, 1280)
PACKETS_HZ = 250.0
ROWS = {
    "own_mib": "memory of its own, MiB",
    "rss_mib": "resident memory, shared segments of the middleware included, MiB",
    "files": "open files",
    "threads": "threads",
    "total_ms_median": "time in the node, median, ms",
    "total_ms_p99": "time in the node, 99th percentile, ms",
    "load": "load average of the machine",
}
WARM_UP_S = 60.0
"""Left out of all comparisons: caches fill, allocators settle, the publishers' queues grow to their full length."""
LISTENS_S, STALLS_S, LEAVES_S = 5.0, 20.0, 23.0


def process_facts(process_id: int) -> dict[str, float]:
    """Memory in MiB, open files and threads of a process.

    Fast DDS touches its shared segment of a fixed size (64 MiB here) page by page until all of it is resident: that is
    part of ``rss_mib`` and not of ``own_mib``, which is what the process itself has asked for.
    """
    status = process_status(process_id)
    files = len(os.listdir(f"/proc/{process_id}/fd"))
    memory = {"own_mib": status["RssAnon"] / 1024, "rss_mib": status["VmRSS"] / 1024}
    return {**memory, "threads": status["Threads"], "files": files}


class LateListener:
    """A process that listens to labels and overlay, is stopped for a while and then goes.

    The middleware's pool for a publisher grows by the payload of a picture for each one that a reader is late with, up
    to the depth of the queue, and keeps them. That happens once in a node's life, at some time: here in the warm-up.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._due = [(LISTENS_S, self._start), (STALLS_S, self._stop), (LEAVES_S, self.end)]

    def act(self, passed_s: float) -> None:
        """Does what is due at this time of the run."""
        while self._due and passed_s >= self._due[0][0]:
            self._due.pop(0)[1]()

    def _start(self) -> None:
        self._process = subprocess.Popen([sys.executable, str(HERE), "--listen"], stdin=subprocess.DEVNULL)

    def _stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            raise SystemExit("the late listener has ended before its time")
        self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        """Leave; may be called at any time, and twice."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(30)
            self._process = None


def listen() -> int:
    """The late listener's process."""
    import rclpy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("late_listener")
    for topic in ("segmentation/labels", "segmentation/overlay"):
        node.create_subscription(Image, topic, lambda message: None, 5)
    rclpy.spin(node)
    return 0


class EventSource:
    """Publishes mono packets of an event camera at a steady number of events per second."""

    def __init__(self, rig: Rig, events_per_second: float) -> None:
        from event_camera_msgs.msg import EventPacket
        from event_data import random_mono  # not at the top: it brings 150 MiB, beside which growth would look small

        from madm_ros.qos import input_qos

        self._rig = rig
        self._publisher = rig.node.create_publisher(EventPacket, "events", input_qos("reliable", 100))
        height, width = EVENT_SIZE
        packet = random_mono(round(events_per_second / PACKETS_HZ), width, height, round(1e9 / PACKETS_HZ))
        self._message = EventPacket(height=height, width=width, encoding="mono")
        self._message.events = packet.tobytes()
        self._number = 0

    @property
    def connected(self) -> bool:
        """Whether the node listens."""
        return bool(self._publisher.get_subscription_count() > 0)

    def send(self) -> None:
        """Publish the next packet; its stamp is its number."""
        stamp_ns = 10**12 + round(self._number * 1e9 / PACKETS_HZ)
        self._message.header.stamp.sec, self._message.header.stamp.nanosec = stamp_ns // 10**9, stamp_ns % 10**9
        self._message.seq, self._message.time_base = self._number, stamp_ns
        self._publisher.publish(self._message)
        self._number += 1


def endure(minutes: float, rate_hz: float, events_per_second: float, seed: int) -> dict[str, Any]:
    """Run; returns what was measured."""
    from sensor_msgs.msg import Image
    from std_srvs.srv import Trigger

    rng, rig = random.Random(seed), Rig(reliability="best_effort")
    serving = ["--modality", "event" if events_per_second else "thermal"]
    process = start_node(serving, script=HERE)
    samples: list[dict[str, float]] = []
    late = LateListener()
    try:
        source = EventSource(rig, events_per_second) if events_per_second else None
        send = source.send if source else lambda: rig.send(size=SIZE)
        period_s = 1 / (PACKETS_HZ if source else rate_hz)
        ready = (lambda: source.connected) if source else rig.connect
        if not ready() and rig.until(ready, 60.0) == float("inf"):
            raise SystemExit("the node did not start")
        began = time.monotonic()
        sent, next_sample_s, listener, listener_until_s, reloads = 0, 1.0, None, 0.0, 0
        while (passed := time.monotonic() - began) < minutes * 60:
            if passed >= sent * period_s:
                send()
                sent += 1
            rig.executor.spin_once(timeout_sec=max(0.0, min(0.02, sent * period_s - passed)))
            if passed < next_sample_s:
                continue
            next_sample_s += 1.0
            late.act(passed)
            if process.poll() is not None:
                raise SystemExit(f"the node ended with {process.poll()} after {passed:.0f} s")
            known = {key: float(rig.values[key]) for key in ("total_ms_median", "total_ms_p99") if key in rig.values}
            facts = process_facts(process.pid)
            samples.append({"s": passed, "load": os.getloadavg()[0], "overlay": listener is not None, **facts, **known})
            if passed > listener_until_s:
                listener_until_s = passed + rng.uniform(1.0, 8.0)
                if listener is None:
                    listener = rig.node.create_subscription(Image, "segmentation/overlay", lambda message: None, 5)
                else:
                    rig.node.destroy_subscription(listener)
                    listener = None
            if len(samples) % 60 == 45:
                client = rig.node.create_client(Trigger, "segmentation/reload_model")
                client.call_async(Trigger.Request())
                rig.spin(0.2)
                rig.node.destroy_client(client)
                reloads += 1
        counts = rig.counts()
        values = dict(rig.values)
    finally:
        late.end()
        process.terminate()
        process.wait(30)
        rig.close()
    return {"samples": samples, "sent": sent, "reloads": reloads, "counts": counts, "values": values,
            "untrue": 0 if events_per_second else len(rig.untrue())}  # fmt: skip


def summary(run: dict[str, Any]) -> dict[str, Any]:
    """First minute after the warm-up against the last one."""
    settled = [sample for sample in run["samples"] if sample["s"] >= WARM_UP_S] or run["samples"]
    span_s = min(60.0, (settled[-1]["s"] - settled[0]["s"]) / 3)
    first = [sample for sample in settled if sample["s"] < settled[0]["s"] + span_s]
    last = [sample for sample in settled if sample["s"] > settled[-1]["s"] - span_s]
    result: dict[str, Any] = {"compared_s": span_s}
    for key in ROWS:
        pair = [float(np.median([sample[key] for sample in part if key in sample])) for part in (first, last)]
        result[key] = pair
    result["growth_percent"] = 100 * (result["own_mib"][1] / result["own_mib"][0] - 1)
    parts = np.array_split(np.array([sample["own_mib"] for sample in settled]), min(10, len(settled)))
    for name, of in (("lowest", np.min), ("median", np.median), ("highest", np.max)):
        result[f"{name}_own_mib_by_tenth"] = tenths = [float(of(part)) for part in parts]
        result[f"{name}_growth_percent"] = 100 * (tenths[-1] / tenths[0] - 1)
    hours = [sample["s"] / 3600 for sample in settled]
    result["slope_mib_an_hour"] = float(np.polyfit(hours, [sample["own_mib"] for sample in settled], 1)[0])
    counts = run["counts"]
    ends = {end: counts[f"frames_{end}"] for end in ("published", "dropped", "rejected", "pending")}
    result.update(sent=run["sent"], received=counts["frames_received"], **ends, reloads=run["reloads"])
    result["adds_up"] = counts["frames_received"] == sum(ends.values())
    result["untrue_labels"] = run["untrue"]
    for key in (
        "events_events",
        "events_lost_packets",
        "events_dropped_windows",
        "messages_received",
        "messages_rejected",
        "callback_errors",
    ):
        if key in run["values"]:
            result[key] = int(float(run["values"][key]))
    return result


def main() -> int:
    """Run, print, write JSON if asked to; 1 when something grew or did not add up."""
    parser = argparse.ArgumentParser(description="A long run of the node with listeners that come and go.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=30.0, help="pictures per second")
    parser.add_argument("--events", type=float, default=0.0, help="events per second instead of pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write summary and samples here")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--listen", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--modality", choices=["thermal", "event"], default="thermal", help=argparse.SUPPRESS)
    arguments, ros_arguments = parser.parse_known_args()
    isolate()
    if arguments.events or arguments.modality == "event":
        sys.path += event_message_packages()
    if arguments.listen:
        return listen()
    if arguments.serve:
        return serve(ros_arguments, modality=arguments.modality)
    run = endure(arguments.minutes, arguments.rate, arguments.events, arguments.seed)
    found = summary(run)
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    print(f"{date}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {arguments.minutes:g} minutes\n")
    print("| what | first | last |\n|---|---|---|")
    for key, label in ROWS.items():
        print(f"| {label} | {found[key][0]:.1f} | {found[key][1]:.1f} |")
    for name in ("lowest", "median", "highest"):
        tenths = ", ".join(f"{mib:.1f}" for mib in found[f"{name}_own_mib_by_tenth"])
        print(f"\n{ROWS['own_mib']}, {name} of each tenth: {tenths}: {found[f'{name}_growth_percent']:+.2f} %")
    print("\n" + ", ".join(f"{key} {value}" for key, value in found.items() if not isinstance(value, list)))
    if arguments.json:
        arguments.json.write_text(json.dumps({"benchmark": "endurance", "summary": found, **run}, indent=1) + "\n")
    steady = found["files"][1] <= found["files"][0] + 2 and found["threads"][1] <= found["threads"][0]
    # A tenth of an hour tells growth from the pictures under way; single minutes are at one or another of a few levels,
    # some per cent apart. The lowest, which a reload's malloc_trim leaves, rises by what is lost for good.
    flat = max(found[f"{name}_growth_percent"] for name in ("lowest", "median", "highest")) < 1.0
    sound = found["adds_up"] and not found["untrue_labels"] and found.get("callback_errors") == 0
    return 0 if steady and flat and sound else 1


if __name__ == "__main__":
    sys.exit(main())
