"""Recordings of every kind give the windows that their events make."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from madm_core.errors import DataError, MissingDependencyError
from madm_core.events import EventWindow, open_events
from madm_core.events.event_array import make_events

SIZE = "% format EVT3;height=48;width=64\n"


@pytest.fixture
def events(random_events):
    made = random_events(2000, 48, 64, 200_000, seed=3, t_first=5_000_000)
    return made[np.lexsort((made["x"], made["p"], made["y"], made["t"]))]


def check(path, events, reference_grid, **options):
    """Windows of 50 ms from the first event on, with their exact grids."""
    first = int(events["t"][0])
    count = 0
    for index, window in enumerate(open_events(path, bins=3, **options)):
        start, end = first + index * 50_000, first + (index + 1) * 50_000
        inside = events[(events["t"] >= start) & (events["t"] < end)]
        assert (window.t_start_ns, window.t_end_ns) == (start * 1000, end * 1000)
        np.testing.assert_allclose(window.grid, reference_grid(inside, 3, 48, 64, start, end), atol=1e-5, rtol=1e-6)
        count += window.events
    assert count == len(events)


def test_prophesee_raw_evt3(tmp_path, events, encode_evt3, reference_grid):
    path = tmp_path / "a.raw"
    path.write_bytes(f"% evt 3.0\n{SIZE}% end\n".encode() + encode_evt3(events))
    check(path, events, reference_grid)


def evt2_bytes(events):
    words = []
    for x, y, t, p in events.tolist():
        words += [0x8 << 28 | t >> 6, p << 28 | (t & 63) << 22 | x << 11 | y]
    return np.array(words, "<u4").tobytes()


def evt21_bytes(events, legacy):
    words = []
    for x, y, t, p in events.tolist():
        words += [0x8 << 60 | (t >> 6) << 32, p << 60 | (t & 63) << 54 | x << 43 | y << 32 | 1]
    halves = np.array(words, "<u8").view("<u4").reshape(-1, 2)
    return (halves[:, ::-1] if legacy else halves).tobytes()


def test_prophesee_raw_evt2(tmp_path, events, reference_grid):
    path = tmp_path / "a.raw"
    path.write_bytes(b"% Date 2014\n% evt 2.0\n% geometry 64x48\n" + evt2_bytes(events))
    check(path, events, reference_grid)


@pytest.mark.parametrize("legacy", [False, True])
def test_prophesee_raw_evt21(tmp_path, events, reference_grid, legacy):
    path = tmp_path / "a.RAW"
    order = "legacy" if legacy else "little"
    header = f"% format EVT21;endianness={order};height=48;width=64\n% end\n"
    path.write_bytes(header.encode() + evt21_bytes(events, legacy))
    check(path, events, reference_grid)


@pytest.mark.parametrize(
    ("header", "legacy"),
    [
        # As OpenEB writes it: what the format leaves out stands in a line of its own, of Linux drivers too.
        ("% endianness little\n% format EVT21;height=48;width=64\n% system_ID 49\n", False),
        ("% endianness legacy\n% format EVT21;height=48;width=64\n", True),
        ("% format EVT21;width=64;height=48\n", False),
        ("% format EVT21;width=64;height=48\n% system_ID 0\n", False),
        ("% format EVT21;width=64;height=48\n% system_ID 64\n", False),
        # Before there was an endianness: cameras whose words are swapped.
        ("% camera_integrator_name Prophesee\n% format EVT21\n% geometry 64x48\n% system_ID 49\n", True),
        ("% camera_integrator_name Another\n% format EVT21\n% geometry 64x48\n% system_ID 49\n", False),
        ("% evt 2.1\n% geometry 64x48\n", True),
    ],
)
def test_the_word_order_of_evt21_that_the_format_does_not_tell(tmp_path, events, reference_grid, header, legacy):
    path = tmp_path / "a.raw"
    path.write_bytes(f"{header}% end\n".encode() + evt21_bytes(events, legacy))
    check(path, events, reference_grid)


def dat_bytes(events):
    words = np.empty((len(events), 2), "<u4")
    words[:, 0] = events["t"] & 0xFFFFFFFF
    words[:, 1] = (
        events["x"].astype(np.uint32) | events["y"].astype(np.uint32) << 14 | events["p"].astype(np.uint32) << 28
    )
    return b"% Width 64\n% Height 48\n% Version 2\n" + b"\x0c\x08" + words.tobytes()


def test_prophesee_dat(tmp_path, events, reference_grid):
    path = tmp_path / "a.dat"
    path.write_bytes(dat_bytes(events))
    check(path, events, reference_grid)


def test_the_clock_of_a_dat_file_wraps(tmp_path, random_events, reference_grid):
    late = random_events(1000, 48, 64, 100_000, t_first=(1 << 32) - 50_000)
    path = tmp_path / "a.dat"
    path.write_bytes(dat_bytes(late))
    check(path, late, reference_grid)


@pytest.fixture
def dsec(tmp_path, events):
    h5py = pytest.importorskip("h5py")
    hdf5plugin = pytest.importorskip("hdf5plugin")
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        for name, kind in (("x", "<u2"), ("y", "<u2"), ("p", "u1")):
            file.create_dataset(f"events/{name}", data=events[name].astype(kind), **hdf5plugin.Blosc())
        file.create_dataset("events/t", data=(events["t"] - 4_000_000).astype("<u4"), **hdf5plugin.Blosc())
        file["t_offset"] = np.int64(4_000_000)
    with h5py.File(tmp_path / "rectify_map.h5", "w") as file:
        columns, rows = np.meshgrid(np.arange(64, dtype=np.float32), np.arange(48, dtype=np.float32))
        file["rectify_map"] = np.stack([columns + 2.3, rows - 1.2], axis=-1)
    return path


def test_dsec(dsec, events, reference_grid):
    check(dsec, events, reference_grid)


def test_dsec_rectified(dsec, events):
    moved = make_events(events["x"] + 2, events["y"] - np.uint16(1), events["t"], events["p"])
    expected = int(((moved["x"] < 64) & (moved["y"] < 48)).sum())
    windows = [(window.events, window.grid.copy()) for window in open_events(dsec, rectify=True)]
    assert sum(count for count, _ in windows) == expected
    assert not any(grid[:, :, :2].any() or grid[:, -1].any() for _, grid in windows)
    (dsec.parent / "rectify_map.h5").unlink()
    with pytest.raises(DataError, match="rectify_map.h5"):
        open_events(dsec, rectify=True)
    assert next(open_events(dsec)).grid.shape == (5, 480, 640)


def test_hdf5_files_that_are_none_of_dsec(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    path.write_bytes(b"no hdf5")
    with pytest.raises(DataError, match="HDF5"):
        open_events(path)
    with h5py.File(path, "w") as file:
        file["events/x"] = np.zeros(3)
    with pytest.raises(DataError, match="events/t"):
        open_events(path)
    with h5py.File(path, "a") as file:
        for name, count in (("y", 3), ("t", 3), ("p", 2)):
            file[f"events/{name}"] = np.zeros(count)
    with pytest.raises(DataError, match="equal length"):
        open_events(path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match="dsec"):
        open_events(path)


def test_a_real_aedat4_file(reference_grid):
    """Written by dv-processing 2.0.4 (``MonoCameraWriter``, compressed by LZ4) as three packets of these events."""
    pytest.importorskip("aedat")
    i = np.arange(300)
    events = make_events(7 * i % 64, 5 * i % 48, 5_000_000 + 611 * i, i % 3 == 0)
    check(Path(__file__).parent / "data" / "made_by_dv_processing.aedat4", events, reference_grid)


def test_aedat4_that_is_cut(tmp_path):
    pytest.importorskip("aedat")
    whole = (Path(__file__).parent / "data" / "made_by_dv_processing.aedat4").read_bytes()
    outcomes = set()
    for cut in range(0, len(whole), 100):
        path = tmp_path / "a.aedat4"
        path.write_bytes(whole[:cut])
        try:
            outcomes.add(sum(window.events for window in open_events(path)))
        except DataError as error:
            outcomes.add("damaged or cut after" if "after" in str(error) else "cannot be read")
    # The table of contents behind the packets is not needed.
    assert outcomes == {"damaged or cut after", "cannot be read", 300}


def test_aedat4_through_its_package(tmp_path, monkeypatch, events, reference_grid):
    """A stand-in with the interface of aedat 2.3, for files of several streams and broken ones."""

    class Decoder:
        def __init__(self, path):
            if path.endswith("broken.aedat4"):
                raise RuntimeError("bad magic")
            self.path = path

        def id_to_stream(self):
            if self.path.endswith("frames.aedat4"):
                return {0: {"type": "frames", "width": 64, "height": 48}}
            return {0: {"type": "imus"}, 1: {"type": "events", "width": 64, "height": 48}}

        def __iter__(self):
            kinds = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")]
            for part in np.array_split(events, 7):
                packet = np.zeros(len(part), kinds)
                packet["t"], packet["x"], packet["y"], packet["on"] = part["t"], part["x"], part["y"], part["p"]
                yield {"stream_id": 1, "events": packet}
                yield {"stream_id": 0, "imus": packet}

    for name in ("a", "broken", "frames"):
        (tmp_path / f"{name}.aedat4").touch()
    monkeypatch.setitem(sys.modules, "aedat", types.SimpleNamespace(Decoder=Decoder))
    check(tmp_path / "a.aedat4", events, reference_grid)
    with pytest.raises(DataError, match="bad magic"):
        open_events(tmp_path / "broken.aedat4")
    with pytest.raises(DataError, match="no events"):
        open_events(tmp_path / "frames.aedat4")
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(MissingDependencyError, match="aedat4"):
        open_events(tmp_path / "a.aedat4")


def test_the_real_bag_loses_no_event(shared_data):
    bag = shared_data / "events_evt3_640x480"
    for window in (EventWindow(), EventWindow("count", count=5000), EventWindow("both", duration_ms=20, count=3000)):
        windows = [(found.events, found.header.frame_id) for found in open_events(bag, window)]
        assert sum(count for count, _ in windows) == 343474
        assert {frame for _, frame in windows} == {"0293"}
    with pytest.raises(DataError, match="/event_camera/events"):
        next(open_events(bag, topic="/other"))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.raw", b"", "no header"),
        ("a.raw", b"% evt 3.0\n% end\n", "geometry WxH"),
        ("a.raw", b"% evt 4.0\n% geometry 64x48\n", "EVT21"),
        ("a.dat", b"% Width 64\n% Height 48\n", "event type"),
        ("a.dat", b"% Width 64\n% Height 48\n\x00\x10", "8 bytes"),
        ("a.txt", b"", "not a recording"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=match):
        open_events(tmp_path / name)


def test_missing_files_and_truncated_ones(tmp_path, events, encode_evt3):
    with pytest.raises(DataError, match="no such recording"):
        open_events(tmp_path / "none.raw")
    path = tmp_path / "cut.raw"
    path.write_bytes(f"% evt 3.0\n{SIZE}% end\n".encode() + encode_evt3(events)[:-1])
    assert sum(window.events for window in open_events(path)) == len(events) - 1
