"""Shipped configuration: every file can be read by what reads it, and names only what exists."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from rclpy.node import Node

from madm_ros.parameters import NODE_OPTIONS, declare_parameters
from madm_ros.publishers import TOPICS

CONFIG = Path(__file__).resolve().parents[2] / "config"
NAMES = {f"/{topic.name.lstrip('/')}" for topic in TOPICS}


@pytest.mark.parametrize("modality", ["depth", "thermal", "event"])
@pytest.mark.parametrize("namespace", ["/", "/robot/front"])
def test_parameter_files_fit_the_node(context, modality, namespace):
    arguments = ["--ros-args", "--params-file", str(CONFIG / f"segment_{modality}.yaml")]
    node = Node("segmentation", namespace=namespace, context=context, cli_args=arguments, **NODE_OPTIONS)
    values = declare_parameters(node)
    node.destroy_node()
    assert values.modality == modality


@pytest.mark.parametrize("modality", ["depth", "thermal", "event"])
def test_parameter_files_explain_what_is_commented_out(context, modality, tmp_path):
    """Examples in comments must work when the comment sign is taken away."""
    lines = (CONFIG / f"segment_{modality}.yaml").read_text().splitlines()
    shown = [line.replace("# ", "", 1) if ": " in line and line.lstrip().startswith("# ") and line.count('"') != 1
             and line.split(":")[0].strip("# ").isidentifier() else line for line in lines]  # fmt: skip
    assert shown != lines
    file = tmp_path / "all.yaml"
    file.write_text("\n".join(shown))
    node = Node("segmentation", context=context, cli_args=["--ros-args", "--params-file", str(file)], **NODE_OPTIONS)
    values = declare_parameters(node)
    node.destroy_node()
    assert values.modality_overrides
    from madm_core.modalities import modality_named
    from madm_ros.parameters import overrides_of

    modality_named(modality).replace(overrides_of(values.modality_overrides))


def test_the_transport_profile_has_room_for_large_images():
    root = ElementTree.parse(CONFIG / "fastdds_shared_memory.xml").getroot()
    space = root.tag.split("}")[0] + "}"
    kinds = {
        item.findtext(f"{space}type"): item
        for item in root.iter(f"{space}transport_descriptor")
        if item.find(f"{space}type") is not None
    }
    assert set(kinds) == {"SHM", "UDPv4"}
    assert int(kinds["SHM"].findtext(f"{space}segment_size", "0")) == 64 * 1024 * 1024
    assert int(kinds["SHM"].findtext(f"{space}maxMessageSize", "0")) == 16 * 1024 * 1024
    assert root.find(f"{space}participant").get("is_default_profile") == "true"


def test_the_rviz_layout_shows_topics_of_the_node():
    layout = yaml.safe_load((CONFIG / "madm.rviz").read_text())
    shown = {display["Topic"]["Value"] for display in layout["Visualization Manager"]["Displays"]}
    assert shown and shown <= NAMES


def test_the_foxglove_layout_is_complete():
    layout = json.loads((CONFIG / "foxglove_layout.json").read_text())
    placed: list[str] = []

    def walk(part: object) -> None:
        if isinstance(part, str):
            placed.append(part)
        elif isinstance(part, dict):
            assert {"direction", "first", "second"} <= set(part)
            walk(part["first"])
            walk(part["second"])

    walk(layout["layout"])
    assert sorted(placed) == sorted(layout["configById"])
    for settings in layout["configById"].values():
        topic = settings.get("topicToRender") or settings["imageMode"]["imageTopic"]
        assert topic in NAMES
