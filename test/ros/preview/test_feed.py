"""The newest frame for whoever looks: the giver never waits, the work is done once, and the end lets everybody go."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from madm_core.labels import MADM9
from madm_ros.preview import feed as feed_module
from madm_ros.preview.composition import PreviewFrame
from madm_ros.preview.feed import PreviewFeed


def frame(label: int = 0) -> PreviewFrame:
    labels = np.full((8, 8), label, np.uint8)
    return PreviewFrame(np.zeros((8, 8, 3), np.float32), labels, np.ones((8, 8), np.float32), MADM9, 0.5)


@pytest.fixture
def encoded(monkeypatch) -> list[tuple[PreviewFrame | None, str]]:
    """Every call of the encoder."""
    calls: list[tuple[PreviewFrame | None, str]] = []

    def encode(one: PreviewFrame | None, layout: str) -> bytes:
        calls.append((one, layout))
        return f"{layout} {len(calls)}".encode()

    monkeypatch.setattr(feed_module, "jpeg_strip", encode)
    return calls


def test_nothing_is_encoded_while_nobody_looks(encoded):
    feed = PreviewFeed()
    for label in range(5):
        feed.show(frame(label))
    assert encoded == []
    number, _ = feed.jpeg("row")
    assert number == 5 and encoded == [(feed.frame, "row")]


def test_viewers_share_the_work_of_a_frame(encoded):
    feed = PreviewFeed()
    feed.show(frame())
    assert feed.jpeg("row") == feed.jpeg("row") and len(encoded) == 1
    feed.jpeg("column")
    assert [layout for _, layout in encoded] == ["row", "column"]


def test_a_viewer_waits_for_a_newer_frame_and_gets_the_newest(encoded):
    feed = PreviewFeed()
    first, _ = feed.jpeg("row")
    assert encoded[0][0] is None  # there was none yet
    latest = frame(2)
    threading.Timer(0.1, lambda: (feed.show(frame(1)), feed.show(latest))).start()
    number, _ = feed.jpeg("row", after=first, timeout_s=10.0)
    assert number > first
    if encoded[-1][0] is not latest:  # it woke between the two
        feed.jpeg("row", after=number, timeout_s=10.0)
    assert encoded[-1][0] is latest


def test_without_news_the_same_picture_comes_again_in_time(encoded):
    feed = PreviewFeed()
    feed.show(frame())
    picture = feed.jpeg("row")
    began = time.monotonic()
    assert feed.jpeg("row", after=picture[0], timeout_s=0.2) == picture
    assert 0.15 < time.monotonic() - began < 3.0 and len(encoded) == 1


def test_a_slow_encoder_does_not_hold_up_the_giver(monkeypatch):
    feed, gate, inside = PreviewFeed(), threading.Event(), threading.Event()

    def encode(one: PreviewFrame | None, layout: str) -> bytes:
        inside.set()
        gate.wait(10.0)
        return b""

    monkeypatch.setattr(feed_module, "jpeg_strip", encode)
    viewer = threading.Thread(target=feed.jpeg, args=("row",))
    viewer.start()
    assert inside.wait(5.0)
    began = time.monotonic()
    for _ in range(100):
        feed.show(frame())
    assert time.monotonic() - began < 1.0
    gate.set()
    viewer.join(5.0)
    assert not viewer.is_alive()


def test_clear_forgets_the_frame_and_close_lets_everybody_go(encoded):
    feed = PreviewFeed()
    feed.show(frame())
    number, _ = feed.jpeg("row")
    feed.clear()
    assert feed.frame is None and feed.jpeg("row", after=number)[0] > number and encoded[-1][0] is None
    answers: list[object] = []
    viewer = threading.Thread(target=lambda: answers.append(feed.jpeg("row", after=99, timeout_s=60.0)))
    viewer.start()
    feed.close()
    viewer.join(5.0)
    assert answers == [None] and feed.jpeg("row") is None
