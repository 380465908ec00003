"""The command ``segment`` as a process: parameter files, names, simulated time, faults and a clean end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from madm_ros.image_conversion import array_to_message

CONFIG = Path(__file__).resolve().parents[2] / "config"


def depth_image(seconds: int, frame_id: str = "depth") -> Image:
    header = Header(frame_id=frame_id)
    header.stamp.sec = seconds
    return array_to_message(np.full((48, 64), 4000, np.uint16), "16UC1", header)


def test_a_parameter_file_names_and_simulated_time(tiny_models, start, observer):
    """Remapped and in a namespace, on a clock that starts over, through services, to a clean end by SIGINT."""
    labels = observer.listen("/robot/segmentation/labels", Image)
    node = start(
        "segment", "--model", str(tiny_models["depth"]), "--params-file", str(CONFIG / "segment_depth.yaml"),
        "--input", "/cam/depth", "--ros-args", "-r", "__ns:=/robot", "-p", "use_sim_time:=true",
        "-p", "diagnostics_period_s:=0.2",
    )  # fmt: skip
    node.wait_for("listening on /cam/depth (sensor_msgs/msg/Image)")
    clock = observer.node.create_publisher(Clock, "/clock", 10)
    images = observer.node.create_publisher(Image, "/cam/depth", 10)
    observer.spin_until(lambda: clock.get_subscription_count() and images.get_subscription_count())

    def send(seconds: int) -> None:
        now = Clock()
        now.clock.sec = seconds
        clock.publish(now)
        observer.spin_for(0.1)
        images.publish(depth_image(seconds))

    for known, seconds in enumerate((500, 501, 100, 101), start=1):  # the bag loops
        send(seconds)
        observer.spin_until(lambda known=known: len(labels) == known)
    assert [message.header.stamp.sec for message in labels] == [500, 501, 100, 101]
    _, values = observer.status("input")
    assert (values["topic"], values["time_jumps"]) == ("/cam/depth", "1")
    assert "the clock jumped back" in node.output
    _, values = observer.status("timing")
    assert float(values["stamp_age_ms_median"]) < 1000.0  # by the simulated clock, which stands still

    assert observer.call(SetBool, "/robot/segmentation/set_enabled", SetBool.Request(data=False)).success
    observer.spin_until(lambda: images.get_subscription_count() == 0)
    assert observer.call(SetBool, "/robot/segmentation/set_enabled", SetBool.Request(data=True)).success
    assert observer.call(Trigger, "/robot/segmentation/reload_model", Trigger.Request()).success
    observer.spin_until(lambda: images.get_subscription_count() == 1)
    send(102)
    observer.spin_until(lambda: len(labels) == 5)
    assert node.end(signal.SIGINT) == 0, node.output
    assert "Traceback" not in node.output


def test_a_missing_model_does_not_end_the_process_and_sigterm_does(tiny_models, start, observer, tmp_path):
    model = tmp_path / "later"
    node = start("segment", "--model", str(model), "--ros-args", "-p", "diagnostics_period_s:=0.2")
    status, values = observer.status("model", lambda status, _: status.level == b"\x02")
    assert str(model) in status.message and values["state"] == "unconfigured"
    shutil.copytree(tiny_models["depth"], model)
    assert observer.call(Trigger, "/segmentation/reload_model", Trigger.Request()).success
    images = observer.node.create_publisher(Image, "image", 10)
    observer.spin_until(lambda: images.get_subscription_count() == 1)

    def labelled():
        images.publish(depth_image(1))  # best effort: one that is sent before the other side is ready is lost
        return observer.received["segmentation/labels"]

    observer.spin_until(labelled)
    assert node.end(signal.SIGTERM) == 0, node.output
    assert "Traceback" not in node.output


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_model_loads(tiny_models, start, with_signal):
    node = start("segment", "--model", str(tiny_models["depth"]))
    node.wait_for("loading model")
    assert node.end(with_signal) == 0, node.output
    assert "Traceback" not in node.output


@pytest.mark.parametrize("moment", ["loading model", "listening on"])
def test_signals_that_repeat(tiny_models, start, moment):
    """A terminal and ``launch`` both send SIGINT, and SIGTERM comes when the end takes long."""
    node = start("segment", "--model", str(tiny_models["depth"]))
    node.wait_for(moment)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        node.process.send_signal(number)
        time.sleep(0.02)
    assert node.end() == 0, node.output
    assert "Traceback" not in node.output and "Interrupted" not in node.output


def test_without_room_in_shared_memory_the_node_says_what_to_do(tmp_path):
    """As in a container with docker's default of 64 MB. That labels come all the same is shown by faults.py."""
    small = tmp_path / "python"
    mount = "mount -t tmpfs -o size=20m tmpfs /dev/shm"
    small.write_text(f'#!/bin/sh\nexec unshare --map-root-user --mount sh -c \'{mount} && exec "$@"\' sh "$@"\n')
    small.chmod(0o755)
    if subprocess.run([small, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system of their own")
    command = [sys.executable, "-m", "madm_ros.commands.segment", "--build-only"]
    ended = subprocess.run([small, *command], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr  # there is no model
    assert "Fast DDS got no shared memory" in ended.stderr and "--shm-size" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "precision:=fp17"], "parameter 'precision' cannot be used: got 'fp17'"),
        (["-p", "modle:=x"], "unknown parameter 'modle'. Did you mean 'model'?"),
        (["-p", "overlay_opacity:=2.0"], "0.0 to 1.0"),
        (["--params-file", "no_such_file.yaml"], "no_such_file.yaml"),
    ],
)
def test_a_start_with_bad_parameters_ends_with_the_reason(start, arguments, says):
    node = start("segment", "--ros-args", *arguments)
    assert node.end() == 2
    assert says in node.output
    assert "Traceback" not in node.output
