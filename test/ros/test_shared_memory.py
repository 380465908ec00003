"""Shared memory that is there, not there, or not wanted."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from madm_ros import shared_memory
from madm_ros.shared_memory import missing_shared_memory

PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds_shared_memory.xml"
DEFAULT = "7f3bfcae4000-7f3bfcb6b000 rw-s 00000000 00:27 8      /dev/shm/fastrtps_ef08b8517f9268b4\n"
LARGE = "7f385fcff000-7f3864000000 rw-s 00000000 00:1b 24436  /dev/shm/fastrtps_986a36c6d0e0bf4c\n"
OTHER = "7f385fcff000-7f3864000000 rw-p 00000000 00:00 0\n7f385fcff000-7f3864000000 r--s 00:1 1 /dev/shm/another\n"


@pytest.mark.parametrize(
    ("free_mib", "mapped", "told"),
    [
        (1.0, OTHER + DEFAULT, True),
        (63.9, OTHER, True),
        (64.0, OTHER + DEFAULT, False),
        (1.0, OTHER + DEFAULT + LARGE, False),
        (None, OTHER, False),
    ],
    ids=["full", "nearly", "another transport was chosen", "got it before it was full", "no such folder"],
)
def test_only_want_of_room_is_told(tmp_path, monkeypatch, free_mib, mapped, told):
    monkeypatch.setattr(shared_memory, "free_mib", lambda: free_mib)
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "profile.xml")
    maps = tmp_path / "maps"
    maps.write_text(mapped)
    said = missing_shared_memory(maps)
    assert bool(said) == told
    if told:
        assert f"got {free_mib:.0f} MiB free" in said and "--shm-size" in said
    assert missing_shared_memory(tmp_path / "not Linux") == ""
    for variable in shared_memory.PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert missing_shared_memory(maps) == ""


def test_as_much_is_needed_as_the_profile_asks_for():
    (size,) = ElementTree.parse(PROFILE).iterfind(".//{*}segment_size")
    assert int(size.text) == shared_memory.NEEDED_MIB << 20


def test_the_folder_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    free = shared_memory.free_mib()
    assert free is not None and free > 0
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path / "absent")
    assert shared_memory.free_mib() is None
