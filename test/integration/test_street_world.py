"""``street_world`` as bag, as folder and live over DDS."""

from __future__ import annotations

import json
import signal

import cv2
import numpy as np
import pytest
import rclpy

from madm_core.data.bag import BagReader
from madm_core.data.message_types import header_stamp_ns
from madm_core.messages.image_arrays import image_to_array
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.drive import drive
from madm_core.streetworld.world import StreetWorld
from madm_ros.commands import street_world


def test_bag_holds_every_sensor_with_equal_stamps_and_is_the_same_every_time(tmp_path):
    options = ["--seed", "5", "--size", "24x40", "--rate", "10", "--duration", "0.3"]
    for name in ("one", "two"):
        assert street_world.main([*options, "--write-bag", str(tmp_path / name)]) == 0
    with BagReader(tmp_path / "one") as one, BagReader(tmp_path / "two") as two:
        counts = {topic.removeprefix("/street/"): info.count for topic, info in one.topics.items()}
        assert counts == {
            "rgb/image_raw": 3, "rgb/camera_info": 3, "depth/image_raw": 3, "depth/camera_info": 3,
            "thermal/image_raw": 3, "thermal/camera_info": 3, "labels": 12, "events": 11,
        }  # fmt: skip
        assert list(one.messages()) == list(two.messages())
        stamps = {
            topic: [header_stamp_ns(message.data) for message in one.messages([f"/street/{topic}"])]
            for topic in ("rgb/image_raw", "depth/image_raw", "thermal/camera_info", "labels")
        }
        assert stamps["rgb/image_raw"] == stamps["depth/image_raw"] == stamps["thermal/camera_info"]
        assert set(stamps["rgb/image_raw"]) <= set(stamps["labels"])
        assert np.diff(stamps["rgb/image_raw"]).tolist() == [100_000_000] * 2


def test_folder_holds_pictures_named_by_their_stamp_and_says_that_it_is_synthetic(tmp_path):
    folder = tmp_path / "frames"
    arguments = [
        "--size",
        "24x40",
        "--modality",
        "depth",
        "infrared",
        "--duration",
        "0.2",
        "--write-folder",
        str(folder),
    ]
    assert street_world.main(arguments) == 0
    card = json.loads((folder / "streetworld.json").read_text())
    assert card["synthetic"] is True and card["label_set"]["name"] == "madm11"
    kinds = ("depth", "thermal", "labels", "instances")
    names = [sorted(path.name for path in (folder / kind).iterdir()) for kind in kinds]
    assert names[0] == names[1] == names[2] == names[3] and len(names[0]) == 2
    instances, labels = (cv2.imread(str(folder / kind / names[0][0]), cv2.IMREAD_UNCHANGED) for kind in kinds[:1:-1])
    assert instances.dtype == np.uint16
    countable = [label_id for label_id, name in enumerate(card["label_set"]["names"]) if name in ("car", "person")]
    np.testing.assert_array_equal(instances > 0, np.isin(labels, countable))
    assert not (folder / "rgb").exists()
    depth = cv2.imread(str(folder / "depth" / names[0][0]), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and 500 < np.median(depth[depth > 0]) < 60_000
    assert street_world.main(arguments) == 2, "a second run does not mix its files into the first one's"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--size", "big"], "--size cannot be used"),
        (["--size", "4x4"], "cannot be simulated"),
        (["--rate", "0"], "rate above 0"),
        (["--write-bag", "x"], "needs an end"),
        (["--size", "24x40", "--ros-args", "-p", "nonsense"], "the ROS arguments cannot be used"),
        (["--size", "24x40", "--ros-args", "-p", "use_sim_time:=banana"], "ROS cannot make the node"),
    ],
)
def test_unusable_options_are_explained(arguments, complaint, capsys):
    assert street_world.main(arguments) == 2
    assert not rclpy.ok()
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_live_topics_carry_the_same_world(start, observer, ended_by):
    from sensor_msgs.msg import CameraInfo, Image

    depth = observer.listen("/street/depth/image_raw", Image)
    labels = observer.listen("/street/labels", Image)
    infos = observer.listen("/street/depth/camera_info", CameraInfo)
    process = start("street_world", "--seed", "5", "--size", "24x40", "--modality", "depth", "--rate", "20")
    observer.spin_until(lambda: min(len(depth), len(labels), len(infos)) > 5, 60.0, "pictures")
    assert process.end(ended_by) == 130, process.output

    def stamp(message) -> int:
        return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec

    by_stamp = {stamp(message): image_to_array(message) for message in labels}
    matched = [message for message in depth if stamp(message) in by_stamp]
    assert len(matched) >= 5 and {stamp(info) for info in infos} & set(by_stamp)
    assert all(message.encoding == "32FC1" and message.step == 160 for message in depth)
    # The drive begins at a known place, so whatever arrived must be found on it, in the same order.
    expected = drive(StreetWorld(5, Camera(24, 40), "day"), ["depth"], period_ns=50_000_000)
    arrived = [by_stamp[time] for time in sorted(by_stamp)]
    first = next(index for index, instant in enumerate(expected) if np.array_equal(instant.labels, arrived[0]))
    assert first < 400
    assert all(np.array_equal(next(expected).labels, picture) for picture in arrived[1:3])
