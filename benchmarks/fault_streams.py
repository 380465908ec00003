"""Scenarios of faults.py: publishers, frames, clocks and subscribers that misbehave."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from fault_node import HERE, RELIABLE, node, require
from numbered import Rig, picture

from madm_core.data.bag_writer import BagWriter
from madm_core.messages.image_arrays import array_to_image_fields


def publisher_restarted() -> str:
    """A publisher's process is killed, and another takes over."""
    with node() as under_test:
        rig, times = under_test.rig, []
        for first in (10**6, 2 * 10**6):
            for number in range(first, first + 5000):
                stamp_ns = 10**12 + number * 10**6
                rig.sent[stamp_ns // 10**9, stamp_ns % 10**9] = number
            known = len(rig.labels)
            began = time.monotonic()
            child = subprocess.Popen([sys.executable, str(HERE), "--publish", str(first)])
            try:
                require(rig.until(lambda known=known: len(rig.labels) > known + 20, 60.0) < 60.0, "no labels")
                times.append(rig.labels[known].at_s - began)
            finally:
                child.kill()
                child.wait()
            rig.spin(1.0)
        return f"labels {times[1]:.1f} s after the second publisher's start; {under_test.check()}"


def two_publishers() -> str:
    """Two nodes publish on one topic, in turns and at once."""
    with node(*RELIABLE) as under_test:
        rig, other = under_test.rig, Rig("other_camera")
        other.until(lambda: other.publisher.get_subscription_count(), 20.0)
        for number in range(1, 301):
            (other if number % 2 else rig).send(number, frame_id=f"camera_{number % 2}")
            rig.sent.update(other.sent)
            rig.spin(0.005)
        rig.spin(0.5)
        other.close()
        result = under_test.check()
        frames = {label.frame_id for label in rig.labels}
        require(frames == {"camera_0", "camera_1"}, f"labels of {frames} only")
        return result


def changes_in_mid_stream() -> str:
    """Resolution, encoding and frame_id change from frame to frame; encodings of colour are refused."""
    with node(*RELIABLE) as under_test:
        rig = under_test.rig
        for size, encoding, frame in (
            ((4, 8), "mono8", "a"), ((48, 64), "mono8", "a"), ((1, 6), "mono8", "b"), ((48, 64), "8UC1", ""),
            ((5, 9), "rgb8", "b"), ((5, 9), "bgr8", "c"), ((480, 640), "mono8", "/c"),
        ):  # fmt: skip
            for _ in range(10):
                rig.send(size=size, encoding=encoding, frame_id=frame)
                rig.spin(0.01)
        result = under_test.check()
        sizes = {label.size for label in rig.labels}
        require({(4, 8), (48, 64), (1, 6), (5, 9), (480, 640)} == sizes, f"sizes {sizes}")
        return f"{len(sizes)} sizes, 4 encodings; {result}"


def odd_stamps() -> str:
    """Frames out of order, twice, with stamp 0, from the future and from the past."""
    with node(*RELIABLE, "-p", "time_jump_s:=0.5") as under_test:
        rig = under_test.rig
        order = [1, 2, 3, 5, 4, 6, 6, 6, 7, 10, 9, 8]
        for number in order:
            rig.send(number)
        zero = [rig.send(100 + i, stamp_ns=0) for i in range(3)]
        rig.spin(0.5)
        zero_labels = [label for label in rig.labels if label.stamp == (0, 0)]
        require([label.number for label in zero_labels] == zero, "stamp 0 was not passed on")
        rig.labels[:] = [label for label in rig.labels if label.stamp != (0, 0)]
        require([label.number for label in rig.labels] == order, "not one label for each frame in its order")
        rig.labels.clear()
        for number, stamp_ns in ((200, 4 * 10**18 // 2), (201, 10**12 + 201 * 10**6), (202, 10**9)):
            rig.send(number, stamp_ns=stamp_ns)
        require(rig.until(lambda: len(rig.labels) >= 3, 10.0) < 10.0, "no labels after odd stamps")
        require([label.number for label in rig.labels] == [200, 201, 202], "labels in another order")
        rig.labels.extend([rig.labels[0]] * (int(rig.values["frames_published"]) - len(rig.labels)))  # as cleared above
        result = under_test.check()
        return f"{rig.values['time_jumps']} time jumps noticed; {result}"


def slow_and_fast() -> str:
    """One frame in ten seconds, then 500 Hz for five seconds at a network that manages 50 Hz."""
    with node("-p", "input_timeout_s:=3.0", delay_s=0.02) as under_test:
        rig = under_test.rig
        for _ in range(2):
            rig.send()
            require(
                rig.until(lambda: rig.labels and rig.labels[-1].number == rig.next_number - 1, 10.0) < 10.0, "no label"
            )
            rig.spin(9.9)
        require("no message" in rig.messages["input"], "a silence of ten seconds was not reported")
        count = rig.stream(5.0, 500.0)
        result = under_test.check()
        numbers = [label.number for label in rig.labels]
        require(numbers == sorted(set(numbers)), "labels are not in order")
        age = rig.values["wait_ms_max"]
        return f"{count} frames sent in 5 s; longest wait in the node {age} ms; {result}"


def sensor_stops(silence_s: float = 60.0) -> str:
    """The sensor is silent for a minute: WARN with the reason, then OK again by itself; each is logged once."""
    with node("-p", "input_timeout_s:=1.0") as under_test:
        rig = under_test.rig
        rig.stream(1.0, 30.0)
        rig.spin(silence_s)
        require(rig.levels["input"] == 1 and "no message" in rig.messages["input"], f"status {rig.messages['input']!r}")
        known = len(rig.labels)
        rig.stream(1.0, 30.0)
        require(len(rig.labels) > known + 10, "no labels after the silence")
        back = rig.until(lambda: rig.levels["input"] == 0, 10.0)
        require(back < 10.0, f"the status stays {rig.messages['input']!r}")
        rig.stream(7.0, 30.0)  # it is over when it has been for warning_period_s
        lines = under_test.log.read_text(errors="replace")
        for said in ("stale input: no message", "stale input is over"):
            require(lines.count(said) == 1, f"{said!r} is logged {lines.count(said)} times")
        return f"reported, and OK {back:.1f} s after frames were back; {under_test.check()}"


def bag_loops() -> str:
    """``replay_bag --loop`` plays a bag of numbered pictures with /clock until it has begun three times anew."""
    with tempfile.TemporaryDirectory() as folder, node(*RELIABLE, "-p", "use_sim_time:=true") as under_test:
        rig, count = under_test.rig, 60
        with BagWriter(Path(folder) / "bag") as bag:
            for number in range(1, count + 1):
                stamp_ns = 10**12 + number * 10**6
                stamp = {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}
                fields = array_to_image_fields(picture(number), "mono8")
                message = {"header": {"stamp": stamp, "frame_id": f"camera_{number}"}, **fields}
                bag.add("/image", "sensor_msgs/msg/Image", message, 10**12 + number * 33_000_000)
                rig.sent[stamp["sec"], stamp["nanosec"]] = number
        command = [sys.executable, "-m", "madm_ros.commands.replay_bag", str(Path(folder) / "bag")]
        command += ["--loop", "--clock", "--wait-for-subscribers"]
        player = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            done = rig.until(lambda: int(rig.values.get("time_jumps", 0)) >= 6, 120.0)
        finally:
            player.terminate()
            player.wait(30)
        result = under_test.check()
        numbers = [label.number for label in rig.labels]
        loops = sum(later < earlier for earlier, later in pairwise(numbers))
        require(done < 120.0 and loops >= 3, f"{loops} loops, {rig.values['time_jumps']} time jumps")
        require(all(later == earlier + 1 or (earlier, later) == (count, 1) for earlier, later in pairwise(numbers)),
                "a label is missing, doubled or out of order")  # fmt: skip
        return f"{loops} loops, all {count} pictures in order in each; {result}"


def simulated_clock() -> str:
    """/clock jumps back, stands still and runs at ten times."""
    from rosgraph_msgs.msg import Clock

    with node(*RELIABLE, "-p", "use_sim_time:=true") as under_test:
        rig = under_test.rig
        clock = rig.node.create_publisher(Clock, "/clock", 10)
        rig.until(lambda: clock.get_subscription_count(), 10.0)

        def run(start_s: float, speed: float, seconds: float) -> None:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                now_ns = round((start_s + passed * speed) * 1e9)
                message = Clock()
                message.clock.sec, message.clock.nanosec = now_ns // 10**9, now_ns % 10**9
                clock.publish(message)
                rig.send()
                rig.spin(0.03)

        run(2000.0, 1.0, 1.5)
        run(500.0, 1.0, 1.5)  # jumps back
        run(501.5, 0.0, 1.5)  # stands still
        run(501.5, 10.0, 1.5)
        jumps = int(rig.values["time_jumps"])
        result = under_test.check()
        require(len(rig.labels) == rig.next_number - 1, f"{len(rig.labels)} labels of {rig.next_number - 1} frames")
        require(jumps >= 1, "the jump was not noticed")
        return f"{jumps} jump(s) noticed, diagnostics never stopped; {result}"


def subscriber_that_never_reads() -> str:
    """A reliable subscriber of all results is stopped (SIGSTOP) and acknowledges nothing. Frames of 640x480."""
    with node(delay_s=0.005) as under_test:
        rig, rates = under_test.rig, []
        reader = subprocess.Popen([sys.executable, str(HERE), "--read"])
        try:
            there = rig.until(lambda: rig.node.count_subscribers("segmentation/overlay"), 40.0)
            require(there < 40.0, "the subscriber did not come")
            for stopped in (False, True):
                if stopped:
                    reader.send_signal(signal.SIGSTOP)
                rig.stream(1.0, 30.0, size=(480, 640))
                before = rig.counts()["frames_published"]
                rig.stream(6.0, 30.0, size=(480, 640))
                rates.append((rig.counts()["frames_published"] - before) / 6.0)
        finally:
            reader.kill()
            reader.wait()
        require(rates[1] > 0.5 * rates[0], f"{rates[1]:.1f} label images a second instead of {rates[0]:.1f}")
        held = under_test.check()
        return f"{rates[0]:.1f} label images a second with a reader, {rates[1]:.1f} while it is stopped; {held}"
