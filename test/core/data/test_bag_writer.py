"""What a bag is written from: what is refused, what is recorded beside messages, and a recording that is broken off."""

from __future__ import annotations

import pytest

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter, offered_qos
from madm_core.errors import DataError

IMAGE = "sensor_msgs/msg/Image"


def test_writer_refuses_what_is_there_and_unknown_fields(tmp_path, write_bag):
    bag = write_bag(tmp_path / "bag")
    with pytest.raises(DataError, match="cannot be written"):
        BagWriter(bag)
    with BagWriter(tmp_path / "other") as writer:
        with pytest.raises(DataError, match="no field 'hight'"):
            writer.add("/camera/image", IMAGE, {"hight": 3}, 0)
        writer.add("/count", "std_msgs/msg/UInt32", {"data": 1}, 0)
        with pytest.raises(DataError, match="two types"):
            writer.add("/count", "std_msgs/msg/Int32", {"data": 1}, 0)


def test_offered_qos_is_recorded(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/map", "std_msgs/msg/String", offered_qos(reliable=True, depth=1, transient_local=True))
        writer.add("/map", "std_msgs/msg/String", {"data": "here"}, 0)
    with BagReader(tmp_path / "bag") as reader:
        (qos,) = reader.topics["/map"].offered_qos
    assert qos.durability.name == "TRANSIENT_LOCAL" and qos.reliability.name == "RELIABLE" and qos.depth == 1


def test_an_interrupted_recording_is_whole(tmp_path):
    def record() -> None:
        with BagWriter(tmp_path / "bag") as writer:
            writer.add("/count", "std_msgs/msg/UInt32", {"data": 1}, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record()
    with BagReader(tmp_path / "bag") as reader:
        assert reader.message_count == 1 and not reader.warnings
