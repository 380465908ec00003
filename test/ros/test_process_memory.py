"""Settings of the process: memory is kept, OpenCV runs alone, and the collector leaves living objects alone."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys

import cv2
import pytest

from madm_ros.process_memory import keep_freed_memory, run_opencv_alone, settle_memory

# Allocates and frees what a 640x480 frame needs, in a thread, as the node's worker does; prints
# the page faults of one round.
_FAULTS = """
import resource, threading
import numpy as np
from madm_ros.process_memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
faults = []
def frames():
    for _ in range(20):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        blocks = [np.ones(size, np.uint8) for size in (614_000, *[1_200_000] * 4, 300_000, 3_700_000)]
        del blocks
        faults.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
thread = threading.Thread(target=frames)
thread.start(); thread.join()
print(sorted(faults)[len(faults) // 2])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    def faults(keep: bool) -> int:
        done = subprocess.run([sys.executable, "-c", _FAULTS.format(keep=keep)], capture_output=True, check=True)
        return int(done.stdout)

    assert faults(True) < 20
    assert faults(False) > 200  # else this test says nothing


# Eight threads do the same work one after another and stay, as the worker before a reload is still there when the next
# one begins; prints by how many MiB the process has grown since the first had done its work.
_GROWTH = """
import threading
from pathlib import Path
from madm_ros import process_memory
if not {one_heap}:
    process_memory._HEAPS = 8
process_memory.keep_freed_memory()
import numpy as np
def resident_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024
def frames(done, leave):
    for _ in range(5):
        blocks = [np.ones(100_000, np.uint8) for _ in range(100)]
        del blocks
    done.set()
    leave.wait()
leave, after = threading.Event(), []
for _ in range(8):
    done = threading.Event()
    threading.Thread(target=frames, args=(done, leave)).start()
    done.wait()
    after.append(resident_mib())
leave.set()
print(after[-1] - after[0])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_threads_after_each_other_need_the_same_memory():
    def growth_mib(one_heap: bool) -> float:
        code = _GROWTH.format(one_heap=one_heap)
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    assert growth_mib(True) < 3
    assert growth_mib(False) > 20  # else this test says nothing


def test_settings_are_taken_on_this_system():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
    threads = cv2.getNumThreads()
    try:
        run_opencv_alone()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(threads)


def test_cycles_of_an_earlier_model_are_collected_and_living_objects_are_not_looked_at():
    class Model:
        pass

    alive = []
    try:
        model = Model()
        model.itself = model
        settle_memory()
        frozen = gc.get_freeze_count()
        assert frozen > 1000
        gc.callbacks.append(lambda phase, info: alive.append(info["collected"]) if phase == "stop" else None)
        del model
        settle_memory()
        assert alive[-1] >= 1
    finally:
        del gc.callbacks[-1:]
        gc.unfreeze()
