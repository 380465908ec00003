"""The command ``segment``: options become ROS arguments."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys

import pytest
from rclpy.node import Node

from madm_core.command_line import Outcome
from madm_core.shipped_files import shipped_folder
from madm_ros.commands import segment
from madm_ros.commands.segment import main, ros_arguments
from madm_ros.segmentation_node import SegmentationNode


def parsed(**given: str) -> argparse.Namespace:
    return argparse.Namespace(**{"model": None, "input": None, "params_file": None, "preview": None, **given})


def test_options_become_ros_arguments_and_given_ones_win():
    assert ros_arguments(parsed(), ["--ros-args", "-p", "x:=1"]) == ["--ros-args", "-p", "x:=1"]
    assert ros_arguments(parsed(), []) == []
    arguments = ros_arguments(
        parsed(model="it's 1", input="/cam", params_file="segment_depth"), ["--ros-args", "-p", "model:=other"]
    )
    shipped = str(shipped_folder() / "config/segment_depth.yaml")
    assert arguments == [
        *("--ros-args", "--params-file", shipped, "-p", "model:='it''s 1'", "-r", "image:=/cam", "-r", "events:=/cam"),
        *("--", "--ros-args", "-p", "model:=other"),
    ]


def test_the_preview_has_a_port_of_its_own_unless_one_is_given(monkeypatch):
    asked: list[list[str]] = []
    monkeypatch.setattr(segment, "_run", lambda chosen, words: asked.append(words) or Outcome())
    for given in ([], ["--preview"], ["--preview", "9000"], ["--preview", "--model", "m"]):
        main(given)
    assert asked == [
        [],
        ["--ros-args", "-p", f"preview_port:={segment.PREVIEW_PORT}", "--"],
        ["--ros-args", "-p", "preview_port:=9000", "--"],
        ["--ros-args", "-p", "model:='m'", "-p", f"preview_port:={segment.PREVIEW_PORT}", "--"],
    ]


def test_a_preview_port_in_use_ends_the_start_with_what_to_do(capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--preview", str(taken.getsockname()[1])]) == 2
    said = "".join(capfd.readouterr())
    assert "Address already in use" in said and "another --preview PORT" in said and "Traceback" not in said


@pytest.mark.parametrize("model", ["007", "it's here", "yes", "/a b/c"])
def test_any_directory_name_stays_text(context, model):
    node = Node("segmentation", context=context, cli_args=ros_arguments(parsed(model=model), []))
    assert node.declare_parameter("model", "").value == model
    node.destroy_node()


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--modle", "x"])
    assert ended.value.code == 2
    assert "--modle" in capsys.readouterr().err


def test_build_only_runs_an_exported_model_and_ends(exported_model, capfd):
    """The node takes a program as it takes any model; a model that is missing is the exit code's business."""
    assert main(["--build-only", "--model", str(exported_model)]) == 0
    said = "".join(capfd.readouterr())
    assert "model ready after" in said and "onnxruntime" in said
    assert main(["--build-only", "--model", str(exported_model / "absent")]) == 2
    assert "no model directory" in "".join(capfd.readouterr())


def test_a_build_that_is_interrupted_is_no_success(monkeypatch, signals_come_back):
    monkeypatch.setattr(SegmentationNode, "trigger_configure", lambda node: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["--build-only", "--model", "m"]) == 130


def test_memory_is_set_up_before_anything_starts_a_thread():
    """glibc gives a thread a heap for good: it would be too late once NumPy, PyTorch or rclpy are imported."""
    code = "import madm_ros.commands.segment, madm_ros.process_memory, sys; "
    code += "sys.exit(bool({'numpy', 'torch', 'rclpy', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
