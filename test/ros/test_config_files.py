"""Shipped configuration: every file can be read by what reads it, and names only what exists."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from madm_ros.parameters import NODE_OPTIONS, declare_parameters
from madm_ros.publishers import DIAGNOSTICS_TOPIC, TOPICS
from madm_ros.segmentation_node import SegmentationNode

CONFIG = Path(__file__).resolve().parents[2] / "config"


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


PICTURES = {
    f"/{topic.name}": topic for topic in TOPICS if topic.type_name == "sensor_msgs/msg/Image"
}  # labels, confidence, overlay, input_preview, legend


def test_the_rviz_layout_shows_every_picture_with_the_quality_of_service_it_is_published_with():
    layout = yaml.safe_load((CONFIG / "madm.rviz").read_text())
    displays = layout["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"]: display for display in displays}
    assert set(shown) == set(PICTURES) and len(displays) == len(shown)
    for name, display in shown.items():
        assert display["Class"] == "rviz_default_plugins/Image" and display["Enabled"] == display["Value"]
        # Spelled as RViz writes them: "Keep Last", "Transient Local".
        asked = {key: display["Topic"][f"{key} Policy"] for key in ("Reliability", "Durability", "History")}
        offered = PICTURES[name].qos
        assert asked == {
            "Reliability": offered.reliability.name.replace("_", " ").title(),
            "Durability": offered.durability.name.replace("_", " ").title(),
            "History": offered.history.name.replace("_", " ").title(),
        }
    assert shown["/segmentation/input_preview"]["Enabled"] and shown["/segmentation/overlay"]["Enabled"]


def test_the_layouts_show_no_picture_that_viewers_paint_black():
    """16-bit pictures need a range to be set in RViz and Foxglove; what the node publishes for people has 8 bits."""
    for topic in PICTURES.values():
        assert topic.meaning.split(" ")[0].rstrip(",") in ("rgb8", "mono8")


def test_the_foxglove_layout_is_complete():
    layout = json.loads((CONFIG / "foxglove_layout.json").read_text())
    placed: list[str] = []

    def walk(part: object) -> None:
        if isinstance(part, str):
            placed.append(part)
        elif isinstance(part, dict):
            assert {"direction", "first", "second"} <= set(part)
            assert part["direction"] in ("row", "column")
            walk(part["first"])
            walk(part["second"])

    walk(layout["layout"])
    assert sorted(placed) == sorted(layout["configById"])
    images = {}
    for name, settings in layout["configById"].items():
        panel = name.split("!")[0]
        # Foxglove's names of its panels; one that it does not know stays an empty "unknown panel".
        assert panel in ("Image", "DiagnosticSummary", "DiagnosticStatusPanel")
        if panel == "Image":
            images[settings["imageMode"]["imageTopic"]] = settings["foxglovePanelTitle"]
        else:
            assert settings["topicToRender"] == DIAGNOSTICS_TOPIC.name
    assert set(images) == set(PICTURES) and all(images.values())


def test_the_foxglove_layout_names_a_status_that_the_node_publishes(world, stand_in):
    parameters = [Parameter("diagnostics_period_s", value=0.1)]
    node = world.add(
        SegmentationNode(load=lambda values: stand_in(), context=world.context, parameter_overrides=parameters)
    )
    world.spin_until(lambda: node.health.latest)
    layout = json.loads((CONFIG / "foxglove_layout.json").read_text())
    settings = layout["configById"]["DiagnosticStatusPanel!timing"]
    published = {(status.hardware_id, status.name) for status in node.health.latest}
    assert (settings["selectedHardwareId"], settings["selectedName"]) in published
