"""Storage files cut short, damaged, or of something else."""

from __future__ import annotations

import sqlite3
import tracemalloc

import pytest

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter
from madm_core.errors import DataError


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kept", [0.4, 0.6, 0.9, 0.999])
def test_mcap_cut_short_is_read_up_to_the_cut(tmp_path, kept, compress, caplog, write_bag):
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


def test_mcap_cut_before_the_first_message_says_so(tmp_path, write_bag):
    bag = write_bag(tmp_path / "bag")
    data = (bag / "bag.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[:40])
    with pytest.raises(DataError, match="no message can be read"):
        BagReader(tmp_path / "cut.mcap")


def test_damaged_sqlite_is_an_error_that_names_the_bag(tmp_path, write_bag):
    bag = write_bag(tmp_path / "bag", range(200), storage="sqlite3")
    data = bytearray((bag / "bag.db3").read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    (bag / "bag.db3").write_bytes(data)
    with pytest.raises(DataError, match=str(bag)):
        list(BagReader(bag).messages())


def test_chunk_damaged_in_the_middle_is_an_error(tmp_path, write_bag):
    bag = write_bag(tmp_path / "bag", range(600), compress=True)
    data = bytearray((bag / "bag.mcap").read_bytes())
    second_chunk = data.find(b"\x28\xb5\x2f\xfd", data.find(b"\x28\xb5\x2f\xfd") + 1)  # zstd's magic number
    data[second_chunk : second_chunk + 16] = bytes(16)
    (bag / "bag.mcap").write_bytes(data)
    with BagReader(bag) as reader, pytest.raises(DataError, match="damaged"):
        list(reader.messages())


def test_sqlite_file_without_bag_tables(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db3")
    connection.execute("CREATE TABLE things(id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="cannot be read"):
        BagReader(tmp_path / "other.db3")


def test_a_damaged_length_is_not_asked_for(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add("/count", "std_msgs/msg/UInt32", {"data": 1}, 0)
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
