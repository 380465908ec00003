"""The scenarios of faults.py: what is done to a running node, and what must hold then."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numbered import EXIT, FAIL, HANG, Rig, start_node

HERE = Path(__file__).resolve().with_name("faults.py")
"""The program whose hidden options make the other processes."""
RELIABLE = ("-p", "queue_policy:=every", "-p", "input_reliability:=reliable", "-p", "queue_limit:=1000")


class Broken(Exception):
    """Something that must hold does not."""


def require(holds: object, what: str) -> None:
    """Raise :class:`Broken` unless it holds."""
    if not holds:
        raise Broken(what)


@dataclass
class Node:
    """A node's process and the rig that talks to it."""

    process: subprocess.Popen[bytes]
    rig: Rig
    log: Path

    def check(self) -> str:
        """What must hold in every scenario; returns the counts in words."""
        require(self.process.poll() is None, f"the node ended with {self.process.poll()}: {self.tail()}")
        counts = self.rig.counts()
        received = counts["frames_received"]
        ends = [counts[f"frames_{end}"] for end in ("published", "dropped", "rejected")]
        require(received == sum(ends), f"{received} received, but {ends} published, dropped, rejected")
        self.rig.until(lambda: len(self.rig.labels) >= ends[0], 5.0)
        require(not self.rig.untrue(), f"labels under another picture's stamp: {self.rig.untrue()[:3]}")
        require(self.rig.values["callback_errors"] == "0", "an exception left a callback")
        require("Traceback" not in self.log.read_text(errors="replace") or self.expect_traces, self.tail())
        return f"{received} received = {ends[0]} published + {ends[1]} dropped + {ends[2]} rejected"

    expect_traces: bool = False

    def tail(self) -> str:
        """The end of the node's output."""
        return self.log.read_text(errors="replace")[-600:]

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Signal the process and wait; exit code and seconds."""
        began = time.monotonic()
        self.process.send_signal(with_signal)
        return self.process.wait(40), time.monotonic() - began


@contextmanager
def node(
    *arguments: str, delay_s: float = 0.0, load_s: float = 0.0, rig: Rig | None = None, **named: Any
) -> Iterator[Node]:
    """A node that is connected to a rig; both end with the block."""
    own = rig or Rig()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        stream = named.pop("log", None) or log.open("wb")
        log.touch()
        options = ["--delay", str(delay_s), "--load", str(load_s), *arguments]
        process = start_node(options, script=HERE, log=stream, **named)
        made = Node(process, own, log)
        try:
            require(own.connect(), f"the node did not start: {made.tail()}")
            yield made
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if rig is None:
                own.close()


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


def sensor_stops(silence_s: float = 8.0) -> str:
    """The sensor is silent for a while: WARN with the reason, then OK again by itself."""
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
        return f"reported, and OK {back:.1f} s after frames were back; {under_test.check()}"


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


def reload_under_load() -> str:
    """Ten reloads at 50 Hz, one of them of a model that is not there."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter
    from std_srvs.srv import Trigger

    with node(load_s=0.1, delay_s=0.005) as under_test:
        rig, late = under_test.rig, 0
        timer = rig.node.create_timer(0.02, rig.send)
        for turn in range(10):
            name = "missing" if turn == 5 else "numbered"
            change = SetParameters.Request(parameters=[Parameter("model", value=name).to_parameter_msg()])
            rig.call(SetParameters, "segmentation/set_parameters", change)
            answer = rig.call(Trigger, "segmentation/reload_model", Trigger.Request())
            require(
                answer is not None and answer.success == (name != "missing"),
                f"reload {turn} of {name}: {answer}; {under_test.tail()}",
            )
            answered = time.monotonic()
            model = turn + 2 if answer.success else None
            rig.spin(0.3)
            late += sum(
                label.at_s > answered + 0.05 and model is not None and label.model < model for label in rig.labels
            )
        rig.node.destroy_timer(timer)
        models = [label.model for label in rig.labels]
        require(models == sorted(models), "a label of an old model came after one of the new")
        require(late == 0, f"{late} labels of an old model after the reload was answered")
        require(len(set(models)) >= 9, f"labels of models {sorted(set(models))} only")
        return f"labels of {len(set(models))} models in order; {under_test.check()}"


def lifecycle_under_load() -> str:
    """60 random transitions at 30 Hz, impossible and unknown ones among them."""
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    with node() as under_test:
        rig, rng = under_test.rig, random.Random(3)
        timer = rig.node.create_timer(1 / 30, rig.send)
        refused = 0
        for identity in [rng.choice((1, 2, 3, 4, 1, 3, 77, 0, 255)) for _ in range(60)] + [2, 1, 3]:
            request = ChangeState.Request(transition=Transition(id=identity))
            answer = rig.call(ChangeState, "segmentation/change_state", request)
            require(answer is not None, f"no answer to transition {identity}")
            refused += not answer.success
        known = len(rig.labels)
        require(rig.until(lambda: len(rig.labels) > known + 5, 20.0) < 20.0, f"no labels, state {rig.values['state']}")
        rig.node.destroy_timer(timer)
        return f"{refused} of 63 refused; {under_test.check()}"


def parameters_under_load() -> str:
    """All kinds of values for all parameters at 30 Hz; what cannot be used is refused with a reason."""
    from rcl_interfaces.srv import ListParameters, SetParameters
    from rclpy.parameter import Parameter

    with node() as under_test:
        rig, rng = under_test.rig, random.Random(4)
        timer = rig.node.create_timer(1 / 30, rig.send)
        listed = rig.call(ListParameters, "segmentation/list_parameters", ListParameters.Request())
        names = [name for name in listed.result.names if name != "use_sim_time"] + ["no_such_parameter"]
        values = (
            0,
            -1,
            10**12,
            0.5,
            -3.0,
            float("nan"),
            float("inf"),
            "",
            "x" * 1000,
            "\u00e9",
            True,
            [1, 2],
            ["a"],
            [0.5],
        )
        taken = refused = 0
        for _ in range(200):
            name, value = rng.choice(names), rng.choice(values)
            request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
            answer = rig.call(SetParameters, "segmentation/set_parameters", request)
            require(answer is not None, f"no answer to {name} = {value!r}")
            result = answer.results[0]
            require(result.successful or result.reason, f"{name} = {value!r} was refused without a reason")
            taken, refused = taken + result.successful, refused + (not result.successful)
        known = len(rig.labels)
        require(rig.until(lambda: len(rig.labels) > known + 5, 20.0) < 20.0, "no labels afterwards")
        rig.node.destroy_timer(timer)
        return f"{taken} taken, {refused} refused with a reason; {under_test.check()}"


def signals() -> str:
    """SIGINT and SIGTERM under load end the node cleanly; after SIGKILL a new one takes over."""
    texts, rig = [], Rig()
    for with_signal, wanted in ((signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        with node(rig=rig, delay_s=0.01) as under_test:
            known = len(rig.labels)
            rig.stream(1.5, 50.0)
            require(len(rig.labels) > known, "no labels")
            code, seconds = under_test.end(with_signal)
            require(code == wanted, f"{with_signal.name}: exit code {code}: {under_test.tail()}")
            require("Traceback" not in under_test.log.read_text(errors="replace"), under_test.tail())
            texts.append(f"{with_signal.name} {seconds:.2f} s")
    began = time.monotonic()
    with node(rig=rig) as under_test:
        known = len(rig.labels)
        timer = rig.node.create_timer(0.05, rig.send)
        require(rig.until(lambda: len(rig.labels) > known, 30.0) < 30.0, "no labels after the restart")
        texts.append(f"labels {time.monotonic() - began:.1f} s after the restart")
        rig.node.destroy_timer(timer)
        rig.spin(0.3)
        require(not rig.untrue(), "labels under another picture's stamp")
    rig.close()
    return ", ".join(texts)


def disk_full() -> str:
    """Neither standard error nor the log file can be written while bad frames cause warnings."""
    full = Path("/dev/full")
    require(full.exists(), "there is no /dev/full here")
    with tempfile.TemporaryDirectory() as folder, full.open("wb") as stream:
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # noqa: E731
        environment = {**os.environ, "ROS_LOG_DIR": folder}
        arguments = ("-p", "warning_period_s:=0.0", *RELIABLE)
        with node(*arguments, log=stream, preexec_fn=limit, env=environment) as under_test:
            for number in range(150):
                under_test.rig.send(encoding="mono8" if number % 3 else "nonsense")
                under_test.rig.spin(0.01)
            return under_test.check()


def worker_fails() -> str:
    """The network raises an exception, raises SystemExit, and takes two seconds."""
    with node(*RELIABLE, "-p", "warning_period_s:=0.0") as under_test:
        under_test.expect_traces = True
        rig = under_test.rig
        for command in (0, FAIL, 0, EXIT, 0, HANG, 0, FAIL, FAIL, EXIT, 0):
            rig.send(command=command)
            rig.spin(0.05)
        result = under_test.check()
        counts = rig.counts()
        require(counts.get("rejected_internal") == 5, f"counted {counts}")
        require(rig.values["worker_restarts"] == "5", f"{rig.values['worker_restarts']} restarts counted")
        require(rig.labels[-1].number == rig.next_number - 1, "the last frame has no label")
        return f"5 failures counted; {result}"


SCENARIOS: dict[str, Callable[[], str]] = {
    scenario.__name__: scenario
    for scenario in (
        publisher_restarted, two_publishers, changes_in_mid_stream, odd_stamps, slow_and_fast, sensor_stops,
        simulated_clock, subscriber_that_never_reads, reload_under_load, lifecycle_under_load, parameters_under_load,
        signals, disk_full, worker_fails,
    )
}  # fmt: skip
