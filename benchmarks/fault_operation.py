"""Scenarios of faults.py: services, parameters, signals and failures of the process while frames go on."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fault_node import HERE, RELIABLE, node, require
from numbered import EXIT, FAIL, HANG, Rig


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
    """200 random transitions at 30 Hz, impossible and unknown ones among them."""
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    with node() as under_test:
        rig, rng = under_test.rig, random.Random(3)
        timer = rig.node.create_timer(1 / 30, rig.send)
        refused = 0
        for identity in [rng.choice((1, 2, 3, 4, 1, 3, 77, 0, 255)) for _ in range(200)] + [2, 1, 3]:
            request = ChangeState.Request(transition=Transition(id=identity))
            answer = rig.call(ChangeState, "segmentation/change_state", request)
            require(answer is not None, f"no answer to transition {identity}")
            refused += not answer.success
        known = len(rig.labels)
        require(rig.until(lambda: len(rig.labels) > known + 5, 20.0) < 20.0, f"no labels, state {rig.values['state']}")
        rig.node.destroy_timer(timer)
        return f"{refused} of 203 refused; {under_test.check()}"


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
        with node(*arguments, output=stream, environment=environment, before=limit) as under_test:
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


_IN_SMALL_MEMORY = "MADM_FAULTS_IN_SMALL_MEMORY"
_SMALL_MEMORY = 'mount -t tmpfs -o size=20m tmpfs /dev/shm && exec "$@"'


def small_shared_memory() -> str:
    """/dev/shm has 20 MB (64 in a container by default), too little for a segment: reliable 1280x720 frames."""
    if _IN_SMALL_MEMORY not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            command = [sys.executable, str(HERE), "--only", "small_shared_memory", "--json", str(answer)]
            inside = subprocess.run(
                ["unshare", "--map-root-user", "--mount", "sh", "-c", _SMALL_MEMORY, "sh", *command],
                env={**os.environ, _IN_SMALL_MEMORY: "1"}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            require(answer.exists(), f"no file system of one's own can be mounted here: {inside.stderr[-300:]}")
            (result,) = json.loads(answer.read_text())["results"]
            require(result["held"], result["measured"])
            return str(result["measured"])
    with node(*RELIABLE) as under_test:
        under_test.rig.stream(5.0, 10.0, size=(720, 1280))
        counted = under_test.check()
        require("Fast DDS got no shared memory" in under_test.log.read_text(errors="replace"), "not a word about it")
        return f"a warning with the remedy; {counted}"
