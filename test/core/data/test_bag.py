"""Bags as people have them: both storages, split, several at once, types of their own, and things that are no bags."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import StoragePlugin, Writer

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter
from madm_core.data.message_types import MessageTypes, header_stamp_ns
from madm_core.errors import DataError

START = 1_700_000_000_000_000_000
STEP = 100_000_000
IMAGE = "sensor_msgs/msg/Image"


@pytest.fixture
def split_bag(tmp_path, write_bag) -> Path:
    """Two mcap files under one metadata.yaml, as `ros2 bag record --max-bag-size` leaves them."""
    first, second = write_bag(tmp_path / "a", range(5)), write_bag(tmp_path / "b", range(5, 10))
    metadata = yaml.safe_load((first / "metadata.yaml").read_text())
    information = metadata["rosbag2_bagfile_information"]
    information["relative_file_paths"] = ["a.mcap", "b.mcap"]
    information["message_count"] = 20
    for topic in information["topics_with_message_count"]:
        topic["message_count"] = 10
    for part in (first, second):
        (part / f"{part.name}.mcap").rename(tmp_path / f"{part.name}.mcap")
    (tmp_path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return tmp_path


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_read_back(tmp_path, storage, compress, write_bag, image_fields):
    bag = write_bag(tmp_path / "bag", storage=storage, compress=compress)
    with BagReader(bag) as reader:
        assert {name: (topic.type, topic.count) for name, topic in reader.topics.items()} == {
            "/camera/image": (IMAGE, 10),
            "/count": ("std_msgs/msg/UInt32", 10),
        }
        assert (reader.start_ns, reader.end_ns) == (START, START + 9 * STEP + 1)
        messages = list(reader.messages())
        assert [message.topic for message in messages] == ["/camera/image", "/count"] * 10
        assert [message.stamp_ns for message in messages] == sorted(message.stamp_ns for message in messages)
        image = reader.decode(messages[6].data, messages[6].type)
        assert bytes(image.data) == image_fields(3)["data"]
        assert (image.encoding, image.height, image.width, image.step) == ("mono8", 60, 80, 80)
        assert header_stamp_ns(messages[6].data) == START + 3 * STEP
        assert reader.decode(messages[7].data, messages[7].type).data == 3
        assert not reader.warnings


def test_topics_and_time_range_select(tmp_path, write_bag):
    with BagReader(write_bag(tmp_path / "bag")) as reader:
        stamps = [m.stamp_ns for m in reader.messages(["/camera/image"], START + 2 * STEP, START + 5 * STEP)]
    assert stamps == [START + index * STEP for index in (2, 3, 4)]


def test_split_bag_is_one_bag(split_bag):
    with BagReader(split_bag) as reader:
        assert reader.topics["/count"].count == 10
        assert [reader.decode(m.data, m.type).data for m in reader.messages(["/count"])] == list(range(10))


def test_several_bags_are_merged_in_time_order(tmp_path, write_bag):
    even, odd = (
        write_bag(tmp_path / "even", range(0, 10, 2)),
        write_bag(tmp_path / "odd", range(1, 10, 2), storage="sqlite3"),
    )
    with BagReader([odd, even]) as reader:
        assert [reader.decode(m.data, m.type).data for m in reader.messages(["/count"])] == list(range(10))


def test_storage_file_alone_is_a_bag(tmp_path, write_bag):
    bag = write_bag(tmp_path / "bag")
    with BagReader(bag / "bag.mcap") as reader:
        assert reader.message_count == 20


def test_directory_without_metadata_names_the_storage_file(tmp_path, write_bag):
    bag = write_bag(tmp_path / "bag")
    (bag / "metadata.yaml").unlink()
    with pytest.raises(DataError, match=r"no metadata.yaml.*bag\.mcap \(\d+ bytes\).*reindex.*bag\.mcap"):
        BagReader(bag)


@pytest.mark.parametrize(("storage", "named"), [("mcap", "mcap"), ("sqlite3", "sqlite3")])
def test_empty_storage_identifier_says_what_to_write(tmp_path, storage, named, write_bag):
    bag = write_bag(tmp_path / "bag", storage=storage)
    text = (bag / "metadata.yaml").read_text()
    (bag / "metadata.yaml").write_text(text.replace(f"storage_identifier: {storage}", "storage_identifier: ''"))
    with pytest.raises(DataError, match=f"storage_identifier: ''.*[Ss]et storage_identifier: {named}"):
        BagReader(bag)


def test_missing_split_is_named(split_bag):
    (split_bag / "b.mcap").unlink()
    with pytest.raises(DataError, match=r"missing.*expected b\.mcap"):
        BagReader(split_bag)


def test_paths_that_are_no_bags(tmp_path):
    with pytest.raises(DataError, match="there is no bag"):
        BagReader(tmp_path / "nowhere")
    (tmp_path / "picture.png").write_bytes(b"png")
    with pytest.raises(DataError, match="is not a ROS 2 bag"):
        BagReader(tmp_path / "picture.png")
    with pytest.raises(DataError, match=r"is not a ROS 2 bag.*picture\.png"):
        BagReader(tmp_path)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(DataError, match="rosbags-convert"):
        BagReader(tmp_path / "old.bag")
    (tmp_path / "empty.mcap").touch()
    with pytest.raises(DataError, match="empty"):
        BagReader(tmp_path / "empty.mcap")
    (tmp_path / "noise.mcap").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(DataError, match="no message can be read"):
        BagReader(tmp_path / "noise.mcap")
    with pytest.raises(DataError, match="no bag was named"):
        BagReader([])


@pytest.mark.parametrize("text", ["nothing: here\n", "[1, 2", "rosbag2_bagfile_information: 7\n"])
def test_metadata_that_is_none(tmp_path, text, write_bag):
    bag = write_bag(tmp_path / "bag")
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(DataError, match="metadata"):
        BagReader(bag)


def test_unknown_topic_lists_the_topics_and_the_nearest(tmp_path, write_bag):
    with BagReader(write_bag(tmp_path / "bag")) as reader:
        with pytest.raises(
            DataError, match=r"/camera/image \(sensor_msgs/msg/Image, 10\).*Did you mean '/camera/image'"
        ):
            next(reader.messages(["/camera/images"]))
        with pytest.raises(DataError, match="wrong type"):
            reader.require_topic("/count", [IMAGE])


def test_decoding_bytes_of_another_type_is_an_error(tmp_path, write_bag):
    with BagReader(write_bag(tmp_path / "bag")) as reader:
        count = next(reader.messages(["/count"]))
        with pytest.raises(DataError, match="not a valid sensor_msgs/msg/Image"):
            reader.decode(count.data, IMAGE)
        with pytest.raises(DataError, match="unknown"):
            reader.decode(count.data, "robot_msgs/msg/Gripper")


def test_header_stamp_of_a_short_message():
    with pytest.raises(DataError, match="too short"):
        header_stamp_ns(b"\x00\x01\x00\x00")


def test_empty_bag_has_no_topics(tmp_path):
    with BagWriter(tmp_path / "bag"):
        pass
    with BagReader(tmp_path / "bag") as reader:
        assert reader.topics == {} and reader.message_count == 0 and reader.start_ns == 0
        assert list(reader.messages()) == []


def test_real_recording(shared_data):
    with BagReader(shared_data / "events_evt3_640x480") as reader:
        info = reader.require_topic("/event_camera/events", ["event_camera_msgs/msg/EventPacket"])
        assert info.count == 517
        packets = [reader.decode(message.data, message.type) for message in reader.messages()]
        assert {(packet.encoding, packet.width, packet.height) for packet in packets} == {("evt3", 640, 480)}
        assert [packet.seq for packet in packets] == list(range(packets[0].seq, packets[0].seq + 517))


def test_types_that_only_the_bag_defines_are_decoded_and_bad_definitions_harm_only_themselves(tmp_path):
    definitions = {
        "robot_msgs/msg/Grip": "std_msgs/Header header\nfloat32 force\nrobot_msgs/Finger[] fingers\n"
        + "=" * 80
        + "\nMSG: robot_msgs/Finger\nstring name\n",
        "robot_msgs/msg/Odd": "%%% ???\n",
    }
    stamp = {"sec": 3, "nanosec": 4}
    types = MessageTypes()
    types.add_definition(
        "robot_msgs/msg/Grip", MessageDefinition(MessageDefinitionFormat.MSG, definitions["robot_msgs/msg/Grip"])
    )
    grip = {"header": {"stamp": stamp}, "force": 2.5, "fingers": [{"name": "thumb"}]}
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, name, data in (
            ("/grip", "robot_msgs/msg/Grip", types.encode("robot_msgs/msg/Grip", grip)),
            ("/odd", "robot_msgs/msg/Odd", b"\x00\x01\x00\x00\x01"),
        ):
            connection = writer.add_connection(topic, name, msgdef=definitions[name], rihs01="RIHS01_0")
            writer.write(connection, START, data)
    with BagReader(tmp_path / "bag") as reader:
        found = {message.topic: message for message in reader.messages()}
        decoded = reader.decode(found["/grip"].data, "robot_msgs/msg/Grip")
        assert decoded.force == 2.5 and decoded.fingers[0].name == "thumb"
        assert header_stamp_ns(found["/grip"].data) == 3_000_000_004
        with pytest.raises(DataError, match="definition of robot_msgs/msg/Odd"):
            reader.decode(found["/odd"].data, "robot_msgs/msg/Odd")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("relative_file_paths",), 5), (("relative_file_paths",), [5]), (("relative_file_paths",), ["x" * 5000]),
        (("topics_with_message_count", 0, "message_count"), "many"),
        (("topics_with_message_count", 0, "message_count"), None),
        (("topics_with_message_count", 0, "topic_metadata", "type"), {"": {}}),
        (("topics_with_message_count", 0, "topic_metadata", "name"), {"": {}}),
        (("duration", "nanoseconds"), "long"),
    ],
)  # fmt: skip
def test_metadata_of_other_types_than_expected_is_one_error(tmp_path, place, value):
    with BagWriter(tmp_path / "bag", storage="sqlite3") as writer:
        writer.add("/count", "std_msgs/msg/UInt32", {"data": 1}, START)
    file = tmp_path / "bag" / "metadata.yaml"
    content = yaml.safe_load(file.read_text())
    node = content["rosbag2_bagfile_information"]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError):
        BagReader(tmp_path / "bag")
