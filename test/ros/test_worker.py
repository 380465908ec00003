"""The worker: newest frame first, every frame accounted for, nothing kills it."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from madm_ros.worker import FrameWorker


class Recorder:
    """Collects what became of the frames; handling waits for the gate."""

    def __init__(self) -> None:
        self.handled: list[int] = []
        self.dropped: list[tuple[int, str]] = []
        self.failed: list[tuple[int, BaseException]] = []
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.raises: dict[int, BaseException] = {}
        self.opens_when_stopped = False

    def handle(self, frame: int) -> None:
        self.begun.release()
        assert self.gate.wait(10)
        try:
            if frame in self.raises:
                raise self.raises[frame]
            self.handled.append(frame)
        finally:
            self.ended.release()

    def drop(self, frame: int, reason: str) -> None:
        self.dropped.append((frame, reason))
        if self.opens_when_stopped and reason == "stopped":
            self.gate.set()

    def worker(self, limit: int = 1) -> FrameWorker[int]:
        return FrameWorker(
            self.handle,
            self.drop,
            lambda frame, error: self.failed.append((frame, error)),
            limit=limit,
        )


def test_only_the_newest_frame_waits():
    record = Recorder()
    worker = record.worker()
    worker.start()
    worker.offer(0)
    assert record.begun.acquire(timeout=5)
    for frame in range(1, 6):
        worker.offer(frame)
    assert worker.pending == 2
    record.gate.set()
    for _ in range(2):
        assert record.ended.acquire(timeout=5)
    assert worker.stop()
    assert record.handled == [0, 5]
    assert record.dropped == [(frame, "superseded") for frame in range(1, 5)]
    assert worker.pending == 0


def test_a_queue_keeps_order_and_drops_the_oldest():
    record = Recorder()
    worker = record.worker(limit=3)
    worker.start()
    worker.offer(0)
    assert record.begun.acquire(timeout=5)
    for frame in range(1, 6):
        worker.offer(frame)
    record.gate.set()
    for _ in range(4):
        assert record.ended.acquire(timeout=5)
    assert worker.stop()
    assert record.handled == [0, 3, 4, 5]
    assert record.dropped == [(1, "queue_full"), (2, "queue_full")]


@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError(), SystemExit(3), KeyboardInterrupt()])
def test_a_raising_frame_is_reported_and_the_next_one_handled(error):
    record = Recorder()
    record.gate.set()
    record.raises[0] = error
    worker = record.worker(limit=5)
    worker.start()
    worker.offer(0)
    worker.offer(1)
    for _ in range(2):
        assert record.ended.acquire(timeout=5)
    assert worker.stop()
    assert record.failed == [(0, error)]
    assert record.handled == [1]
    assert worker.restarts == 1


def test_stopping_drops_what_waits_and_finishes_what_is_in_work():
    record = Recorder()
    worker = record.worker(limit=5)
    worker.start()
    worker.offer(0)
    assert record.begun.acquire(timeout=5)
    worker.offer(1)
    record.opens_when_stopped = True  # not before: the worker would go on with the second one
    assert worker.stop()
    worker.offer(2)
    assert record.handled == [0]
    assert record.dropped == [(1, "stopped"), (2, "stopped")]


def test_stop_does_not_wait_for_ever():
    record = Recorder()
    worker = record.worker()
    worker.start()
    worker.offer(0)
    assert record.begun.acquire(timeout=5)
    assert not worker.stop(timeout_s=0.05)
    record.gate.set()
    assert record.ended.acquire(timeout=5)


def test_a_lost_thread_is_started_again():
    """Only a thread that never ran its loop can be lost; it is simulated by one that ends at once."""
    record = Recorder()
    record.gate.set()
    worker = record.worker()
    assert not worker.ensure_alive()  # not started yet: nothing was lost
    lost = threading.Thread(target=lambda: None)
    worker._thread = lost
    worker.start()
    lost.join()
    assert worker.ensure_alive()
    worker.offer(7)
    assert record.ended.acquire(timeout=5)
    assert record.handled == [7]
    assert worker.restarts == 1
    assert worker.stop()


def test_every_frame_ends_exactly_once_under_load():
    record = Recorder()
    record.gate.set()
    record.raises = {frame: ValueError() for frame in range(0, 2000, 7)}
    worker = record.worker()
    worker.start()
    threads = [
        threading.Thread(target=lambda first=first: [worker.offer(frame) for frame in range(first, 2000, 4)])
        for first in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker.stop()
    ends = Counter([*record.handled, *(frame for frame, _ in record.dropped), *(frame for frame, _ in record.failed)])
    assert ends == Counter(range(2000))
