"""Bags as people have them: both storages, split, compressed, cut short, and things that are no bags."""

from __future__ import annotations

import sqlite3
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import StoragePlugin, Writer

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter, offered_qos
from madm_core.data.message_types import MessageTypes, header_stamp_ns, stamp_fields
from madm_core.errors import DataError

START = 1_700_000_000_000_000_000
STEP = 100_000_000
IMAGE = "sensor_msgs/msg/Image"


def image_fields(index: int, height: int = 60, width: int = 80) -> dict:
    pixels = np.random.default_rng(index).integers(0, 256, (height, width), np.uint8)
    return {
        "header": {"stamp": stamp_fields(START + index * STEP), "frame_id": "camera"},
        "height": height,
        "width": width,
        "encoding": "mono8",
        "step": width,
        "data": pixels.tobytes(),
    }


def write_bag(path: Path, indices=range(10), **options) -> Path:
    with BagWriter(path, **options) as bag:
        for index in indices:
            bag.add("/camera/image", IMAGE, image_fields(index), START + index * STEP)
            bag.add("/count", "std_msgs/msg/UInt32", {"data": index}, START + index * STEP + 1)
    return path


def split_bag(path: Path) -> Path:
    """Two mcap files under one metadata.yaml, as `ros2 bag record --max-bag-size` leaves them."""
    first, second = write_bag(path / "a", range(5)), write_bag(path / "b", range(5, 10))
    metadata = yaml.safe_load((first / "metadata.yaml").read_text())
    information = metadata["rosbag2_bagfile_information"]
    information["relative_file_paths"] = ["a.mcap", "b.mcap"]
    information["message_count"] = 20
    for topic in information["topics_with_message_count"]:
        topic["message_count"] = 10
    for part in (first, second):
        (part / f"{part.name}.mcap").rename(path / f"{part.name}.mcap")
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return path


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_read_back(tmp_path, storage, compress):
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


def test_topics_and_time_range_select(tmp_path):
    with BagReader(write_bag(tmp_path / "bag")) as reader:
        stamps = [m.stamp_ns for m in reader.messages(["/camera/image"], START + 2 * STEP, START + 5 * STEP)]
    assert stamps == [START + index * STEP for index in (2, 3, 4)]


def test_split_bag_is_one_bag(tmp_path):
    with BagReader(split_bag(tmp_path)) as reader:
        assert reader.topics["/count"].count == 10
        assert [reader.decode(m.data, m.type).data for m in reader.messages(["/count"])] == list(range(10))


def test_several_bags_are_merged_in_time_order(tmp_path):
    even, odd = (
        write_bag(tmp_path / "even", range(0, 10, 2)),
        write_bag(tmp_path / "odd", range(1, 10, 2), storage="sqlite3"),
    )
    with BagReader([odd, even]) as reader:
        assert [reader.decode(m.data, m.type).data for m in reader.messages(["/count"])] == list(range(10))


def test_storage_file_alone_is_a_bag(tmp_path):
    bag = write_bag(tmp_path / "bag")
    with BagReader(bag / "bag.mcap") as reader:
        assert reader.message_count == 20


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kept", [0.4, 0.6, 0.9, 0.999])
def test_mcap_cut_short_is_read_up_to_the_cut(tmp_path, kept, compress, caplog):
    whole = write_bag(tmp_path / "bag", range(600), compress=compress)
    with BagReader(whole) as reader:
        expected = list(reader.messages())
    data = (whole / "bag.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: int(len(data) * kept)])
    with BagReader(cut) as reader:
        messages = list(reader.messages())
        assert 0 < len(messages) <= len(expected)
        assert messages == expected[: len(messages)]
        assert reader.message_count == len(messages)
        assert "cut short" in reader.warnings[0] and "cut short" in caplog.text
    # The same file inside its bag directory, where metadata.yaml promises more than there is.
    (whole / "bag.mcap").write_bytes(data[: int(len(data) * kept)])
    with BagReader(whole) as reader:
        assert list(reader.messages()) == messages


def test_mcap_cut_before_the_first_message_says_so(tmp_path):
    bag = write_bag(tmp_path / "bag")
    data = (bag / "bag.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[:40])
    with pytest.raises(DataError, match="no message can be read"):
        BagReader(tmp_path / "cut.mcap")


def test_directory_without_metadata_names_the_storage_file(tmp_path):
    bag = write_bag(tmp_path / "bag")
    (bag / "metadata.yaml").unlink()
    with pytest.raises(DataError, match=r"no metadata.yaml.*bag\.mcap \(\d+ bytes\).*reindex.*bag\.mcap"):
        BagReader(bag)


@pytest.mark.parametrize(("storage", "named"), [("mcap", "mcap"), ("sqlite3", "sqlite3")])
def test_empty_storage_identifier_says_what_to_write(tmp_path, storage, named):
    bag = write_bag(tmp_path / "bag", storage=storage)
    text = (bag / "metadata.yaml").read_text()
    (bag / "metadata.yaml").write_text(text.replace(f"storage_identifier: {storage}", "storage_identifier: ''"))
    with pytest.raises(DataError, match=f"storage_identifier: ''.*[Ss]et storage_identifier: {named}"):
        BagReader(bag)


def test_missing_split_is_named(tmp_path):
    bag = split_bag(tmp_path)
    (bag / "b.mcap").unlink()
    with pytest.raises(DataError, match=r"missing.*expected b\.mcap"):
        BagReader(bag)


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
def test_metadata_that_is_none(tmp_path, text):
    bag = write_bag(tmp_path / "bag")
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(DataError, match="metadata"):
        BagReader(bag)


def test_damaged_sqlite_is_an_error_that_names_the_bag(tmp_path):
    bag = write_bag(tmp_path / "bag", range(200), storage="sqlite3")
    data = bytearray((bag / "bag.db3").read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    (bag / "bag.db3").write_bytes(data)
    with pytest.raises(DataError, match=str(bag)):
        list(BagReader(bag).messages())


def test_chunk_damaged_in_the_middle_is_an_error(tmp_path):
    bag = write_bag(tmp_path / "bag", range(600), compress=True)
    data = bytearray((bag / "bag.mcap").read_bytes())
    second_chunk = data.find(b"\x28\xb5\x2f\xfd", data.find(b"\x28\xb5\x2f\xfd") + 1)  # zstd's magic number
    data[second_chunk : second_chunk + 16] = bytes(16)
    (bag / "bag.mcap").write_bytes(data)
    with BagReader(bag) as reader, pytest.raises(DataError, match="damaged"):
        list(reader.messages())


def test_unknown_topic_lists_the_topics_and_the_nearest(tmp_path):
    with BagReader(write_bag(tmp_path / "bag")) as reader:
        with pytest.raises(
            DataError, match=r"/camera/image \(sensor_msgs/msg/Image, 10\).*Did you mean '/camera/image'"
        ):
            next(reader.messages(["/camera/images"]))
        with pytest.raises(DataError, match="wrong type"):
            reader.require_topic("/count", [IMAGE])


def test_decoding_bytes_of_another_type_is_an_error(tmp_path):
    with BagReader(write_bag(tmp_path / "bag")) as reader:
        count = next(reader.messages(["/count"]))
        with pytest.raises(DataError, match="not a valid sensor_msgs/msg/Image"):
            reader.decode(count.data, IMAGE)
        with pytest.raises(DataError, match="unknown"):
            reader.decode(count.data, "robot_msgs/msg/Gripper")


def test_header_stamp_of_a_short_message():
    with pytest.raises(DataError, match="too short"):
        header_stamp_ns(b"\x00\x01\x00\x00")


def test_writer_refuses_what_is_there_and_unknown_fields(tmp_path):
    bag = write_bag(tmp_path / "bag")
    with pytest.raises(DataError, match="cannot be written"):
        BagWriter(bag)
    with BagWriter(tmp_path / "other") as writer:
        with pytest.raises(DataError, match="no field 'hight'"):
            writer.add("/camera/image", IMAGE, {"hight": 3}, START)
        writer.add("/count", "std_msgs/msg/UInt32", {"data": 1}, START)
        with pytest.raises(DataError, match="two types"):
            writer.add("/count", "std_msgs/msg/Int32", {"data": 1}, START)


def test_offered_qos_is_recorded(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/map", "std_msgs/msg/String", offered_qos(reliable=True, depth=1, transient_local=True))
        writer.add("/map", "std_msgs/msg/String", {"data": "here"}, START)
    with BagReader(tmp_path / "bag") as reader:
        (qos,) = reader.topics["/map"].offered_qos
    assert qos.durability.name == "TRANSIENT_LOCAL" and qos.reliability.name == "RELIABLE" and qos.depth == 1


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


def test_sqlite_file_without_bag_tables(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db3")
    connection.execute("CREATE TABLE things(id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="cannot be read"):
        BagReader(tmp_path / "other.db3")


def test_an_interrupted_recording_is_whole(tmp_path):
    def record() -> None:
        with BagWriter(tmp_path / "bag") as writer:
            writer.add("/count", "std_msgs/msg/UInt32", {"data": 1}, START)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record()
    with BagReader(tmp_path / "bag") as reader:
        assert reader.message_count == 1 and not reader.warnings


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


def test_a_damaged_length_is_not_asked_for(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add("/count", "std_msgs/msg/UInt32", {"data": 1}, START)
    data = bytearray((tmp_path / "bag" / "bag.mcap").read_bytes())
    data[17:21] = b"\xff\xff\xff\x7f"  # the length of the profile's name: 2 GiB
    (tmp_path / "damaged.mcap").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"no message can be read from .*damaged\.mcap"):
            BagReader(tmp_path / "damaged.mcap")
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
