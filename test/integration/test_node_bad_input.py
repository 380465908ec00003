"""The table of bad input: each row gets a clear error, is counted where it is a message, and the node lives on.

The node runs in this process with the real, tiny network; every message goes through DDS.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from madm_core.labels import IGNORE
from madm_ros.image_conversion import array_to_message, message_to_array
from madm_ros.segmentation_node import SegmentationNode


@pytest.fixture
def node(observer):
    """Make a node on the observer's executor."""
    made: list[SegmentationNode] = []

    def begin(model, **parameters) -> SegmentationNode:
        values = {"model": str(model), "diagnostics_period_s": 0.1, "queue_policy": "every", **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        new = SegmentationNode(context=observer.node.context, parameter_overrides=overrides)
        made.append(new)
        observer.executor.add_node(new)
        new.autostart()
        return new

    yield begin
    for started in made:
        observer.executor.remove_node(started)
        started.destroy_node()


def good_image() -> Image:
    return array_to_message(np.full((24, 32), 5000, np.uint16), "16UC1", Header(frame_id="good"))


def changed(**fields) -> Image:
    image = good_image()
    for name, value in fields.items():
        setattr(image, name, value)
    return image


BAD_IMAGES: dict[str, tuple[Image, str, tuple[str, str, str]]] = {
    "wrong encoding": (changed(encoding="bayer_rggb8"), "encoding", ("bayer_rggb8", "expected", "cv-bridge")),
    "no encoding": (changed(encoding=""), "encoding", ("got ''", "16UC1", "driver")),
    "encoding of a colour camera": (
        array_to_message(np.tile(np.uint8([0, 90, 200]), (24, 32, 1)), "rgb8", Header()),
        "encoding",
        ("3 channels", "one channel", "false colours"),
    ),
    "encoding of another modality": (
        array_to_message(np.full((24, 32), 50, np.uint8), "mono8", Header()),
        "depth_array",
        ("uint8", "uint16 millimetres", "16UC1"),
    ),
    "bad step": (changed(step=63), "step", ("step 63", "at least 64", "driver")),
    "data shorter than height x step": (changed(data=b"\0" * 1535), "data", ("1535 bytes", "1536", "cut off")),
    "zero height": (changed(height=0), "size", ("32x0", "at least 1x1", "driver")),
    "zero width": (changed(width=0), "size", ("0x24", "at least 1x1", "driver")),
}


@pytest.fixture
def depth(observer, node, tiny_models):
    """A node with the depth model and a publisher on its topic."""
    running = node(tiny_models["depth"])
    publisher = observer.node.create_publisher(Image, "image", 10)
    observer.spin_until(lambda: publisher.get_subscription_count() > 0)
    return running, publisher


def test_bad_images_are_counted_explained_and_survived(observer, depth):
    running, publisher = depth
    labels = observer.received["segmentation/labels"]
    reasons: dict[str, int] = {}
    for number, (row, (image, reason, says)) in enumerate(BAD_IMAGES.items(), start=1):
        publisher.publish(image)
        reasons[reason] = reasons.get(reason, 0) + 1
        wanted = {f"rejected_{name}": str(count) for name, count in reasons.items()}
        _, values = observer.status("input", lambda _, values, wanted=wanted: wanted.items() <= values.items())
        for part in says:
            assert part in values["last_rejection"], row
        publisher.publish(good_image())
        observer.spin_until(lambda number=number: len(labels) == number, what=f"labels after {row}")
    _, values = observer.status("input")
    assert values["frames_received"] == str(2 * len(BAD_IMAGES))
    assert values["frames_published"] == values["frames_rejected"] == str(len(BAD_IMAGES))
    assert running.state_label == "active"


def test_depth_without_any_valid_pixel_is_all_255_with_a_warning(observer, depth):
    _, publisher = depth
    labels = observer.received["segmentation/labels"]
    publisher.publish(array_to_message(np.full((24, 32), np.nan, np.float32), "32FC1", Header(frame_id="nan")))
    observer.spin_until(lambda: labels)
    assert (message_to_array(labels[0]) == IGNORE).all()
    assert labels[0].header.frame_id == "nan"
    status, values = observer.status("input")
    assert status.level == b"\x01" and "no valid measurement" in status.message
    assert values["frames_published"] == "1"
    publisher.publish(good_image())
    observer.status("input", lambda status, values: status.level == b"\x00" and values["frames_published"] == "2")
    assert (message_to_array(labels[1]) != IGNORE).any()


def test_broken_compressed_images(observer, node, tiny_models):
    node(tiny_models["thermal"], image_message_type="sensor_msgs/msg/CompressedImage")
    publisher = observer.node.create_publisher(CompressedImage, "image", 10)
    observer.spin_until(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(CompressedImage(format="jpeg", data=b"\xff\xd8 not a picture"))
    publisher.publish(CompressedImage(format="16UC1; compressedDepth rvl", data=b"\0" * 50))
    _, values = observer.status("input", lambda _, values: values["frames_rejected"] == "2")
    assert values["rejected_data"] == values["rejected_encoding"] == "1"


def test_event_messages_that_cannot_be_used(observer, node, tiny_models, message_packages_environment, monkeypatch):
    for folder in reversed(message_packages_environment["PYTHONPATH"].split(":")):
        monkeypatch.syspath_prepend(folder)
    event_camera_msgs = pytest.importorskip("event_camera_msgs.msg")
    running = node(tiny_models["event"])
    assert running.state_label == "active", running.problem
    publisher = observer.node.create_publisher(event_camera_msgs.EventPacket, "events", 10)
    observer.spin_until(lambda: publisher.get_subscription_count() > 0)

    def packet(seq: int, **fields):
        # mono: 64 bits an event, its time in the lower 32 (ns), x in the next 16, y in the next 15, polarity on top
        time_ns = np.arange(200, dtype=np.uint64) * 100_000
        words = time_ns | np.uint64(3 << 32) | np.uint64(5 << 48) | np.uint64(1 << 63)
        made = event_camera_msgs.EventPacket(height=24, width=32, seq=seq, time_base=seq * 20_000_000, encoding="mono")
        made.header.stamp.sec, made.header.stamp.nanosec = 100 + seq // 50, seq % 50 * 20_000_000
        made.events = words.tobytes()
        for name, value in fields.items():
            setattr(made, name, value)
        return made

    publisher.publish(packet(0))
    publisher.publish(packet(1, encoding="evt99"))
    _, values = observer.status("input", lambda _, values: values["messages_rejected"] == "1")
    assert "evt99" in values["last_rejection"] and "expected" in values["last_rejection"]
    publisher.publish(packet(2, width=64, height=48))
    _, values = observer.status("input", lambda _, values: values["messages_rejected"] == "2")
    assert values["rejected_message_size"] == "1"
    assert "64x48" in values["last_rejection"] and "32x24" in values["last_rejection"]
    for seq in range(3, 8):
        publisher.publish(packet(seq))
    observer.spin_until(lambda: observer.received["segmentation/labels"], what="labels after bad event messages")
    assert running.state_label == "active"


def test_point_clouds_that_hold_no_events(observer, node, tiny_models):
    node(tiny_models["event"], event_message_type="sensor_msgs/msg/PointCloud2", event_width=32, event_height=24)
    publisher = observer.node.create_publisher(PointCloud2, "events", 10)
    observer.spin_until(lambda: publisher.get_subscription_count() > 0)
    xyz = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate("xyz")]
    publisher.publish(PointCloud2(height=1, width=2, point_step=12, row_step=24, fields=xyz, data=b"\0" * 24))
    _, values = observer.status("input", lambda _, values: values["messages_rejected"] == "1")
    assert "x, y, t, p" in values["last_rejection"]


def damage_nothing(model):
    shutil.rmtree(model)


def damage_weights(model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def damage_description(model):
    (model / "madm.json").write_text('{"format": "madm_ros')


@pytest.mark.parametrize(
    ("damage", "parameters"),
    [(damage_nothing, {}), (damage_weights, {}), (damage_description, {}), (None, {"modality": "thermal"})],
    ids=["missing", "truncated weights", "truncated description", "wrong modality"],
)
def test_models_that_cannot_be_used(observer, node, tiny_models, tmp_path, damage: Callable | None, parameters):
    model = shutil.copytree(tiny_models["depth"], tmp_path / "model")
    if damage is not None:
        damage(model)
    running = node(model, **parameters)
    status, values = observer.status("model")
    assert status.level == b"\x02"
    assert str(model) in status.message
    assert values["state"] == "unconfigured"
    change = SetParameters.Request(
        parameters=[
            Parameter("model", value=str(tiny_models["depth"])).to_parameter_msg(),
            Parameter("modality", value="depth").to_parameter_msg(),
        ]
    )
    assert all(r.successful for r in observer.call(SetParameters, "segmentation/set_parameters", change).results)
    answer = observer.call(Trigger, "segmentation/reload_model", Trigger.Request())
    assert answer.success, answer.message
    assert running.state_label == "active"


def test_a_topic_of_another_type_is_explained(observer, node, tiny_models):
    from rclpy.context import Context
    from rclpy.node import Node

    elsewhere = Context()
    elsewhere.init()
    driver = Node("driver", context=elsewhere)
    driver.create_publisher(CompressedImage, "image", 10)
    node(tiny_models["depth"], input_timeout_s=0.5)
    status, _ = observer.status("input", lambda status, _: "/driver" in status.message)
    assert status.level == b"\x01"
    for part in ("sensor_msgs/msg/CompressedImage", "expected sensor_msgs/msg/Image", "image_message_type"):
        assert part in status.message
    driver.destroy_node()
    elsewhere.shutdown()


def test_unknown_parameter_values_and_names_are_refused_while_running(observer, depth):
    running, publisher = depth
    for name, value, says in (
        ("precision", "fp17", "expected"),
        ("queue_policy", "newest", "latest"),
        ("overlay_opacity", 3.0, "range"),
        ("queue_limt", 3, "queue_limit"),
    ):
        change = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = observer.call(SetParameters, "segmentation/set_parameters", change).results[0]
        assert not result.successful
        assert says in result.reason
    publisher.publish(good_image())
    observer.spin_until(lambda: observer.received["segmentation/labels"])
    assert running.state_label == "active"
