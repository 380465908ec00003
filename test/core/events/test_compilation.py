"""Kernels are compiled ahead, and their cached code belongs to the present sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from madm_core.events import (
    EventStream,
    EventWindow,
    PixelMap,
    accumulation,
    compilation,
    evt3,
    folding,
    warm_up,
)


def test_warm_up_leaves_nothing_to_compile(encode_evt3, random_events, make_packet):
    warm_up()
    kernels = [
        evt3.decode_evt3,
        accumulation.accumulate_words,
        accumulation.accumulate_columns,
        folding.finish,
    ]
    before = [len(kernel.signatures) for kernel in kernels]
    assert all(before)
    stream = EventStream(EventWindow(duration_ms=1), 3, hot_pixel_seconds=0.001)
    data = encode_evt3(random_events(500, 48, 64, 5000))
    for seq, kind in enumerate((bytes, bytearray, lambda data: np.frombuffer(data, np.uint8).copy())):
        assert stream.add(make_packet(kind(data), 10**18 + seq * 16_777_216_000, seq), "header")
    unaligned = memoryview(b"\0" * 100)[3:99]
    EventStream(EventWindow("count", count=3), 3).add(make_packet(unaligned, 10**18, 0, encoding="mono"), "header")
    events = random_events(100, 48, 64, 5_000_000)
    for source in (events, np.frombuffer(events.tobytes(), events.dtype)):
        for mode in ("time", "count"):
            stream = EventStream(EventWindow(mode, count=50), 3, pixel_map=PixelMap.build(48, 64))
            stream.add_events(source, 64, 48, 10**18, "header")
    assert [len(kernel.signatures) for kernel in kernels] == before


def test_a_change_in_any_file_outdates_the_cache_of_all():
    stamps = {kernel._cache._cache_file._source_stamp for kernel in (evt3.decode_evt3, folding.fold)}
    assert stamps == {compilation._sources_stamp()}


def test_a_read_only_installation_still_works(tmp_path):
    """Neither beside the source nor in the user's folder can anything be written: code is compiled in memory."""
    code = (
        "import numba.core.caching as caching\n"
        "for locator in caching.CacheImpl._locator_classes:\n"
        "    locator.from_function = classmethod(lambda cls, function, path: None)\n"
        "import numpy as np\n"
        "from madm_core.events.folding import fill\n"
        "from madm_core.events.registers import FILLED, REGISTERS\n"
        "registers, grid = np.zeros(REGISTERS, np.int64), np.ones((3, 4), np.float32)\n"
        "fill(registers, grid, 2)\n"
        "assert registers[FILLED] == 2 and grid.sum(axis=1).tolist() == [0, 0, 4]\n"
    )
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "NUMBA_CACHE_DIR" in result.stderr


def test_interpreting_the_kernels_is_refused():
    """Numbers of Python and NumPy do not wrap around as a kernel's do: the grids would be wrong."""
    result = subprocess.run(
        [sys.executable, "-c", "import madm_core.events"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        capture_output=True,
        text=True,
    )
    assert "event kernels must be compiled: got NUMBA_DISABLE_JIT=1" in result.stderr
