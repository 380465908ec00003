"""Throttled warnings: the first at once, later ones summarised."""

from __future__ import annotations

from madm_ros.throttled_log import ThrottledLog


def test_repetitions_are_held_back_and_counted():
    lines: list[str] = []
    now = [0.0]
    log = ThrottledLog(lines.append, lambda: 5.0, lambda: now[0])
    for step in range(120):
        now[0] = step / 10
        log("encoding", f"bad encoding {step}")
    assert lines == [
        "bad encoding 0",
        "bad encoding 50 (49 more of this kind in the last 5.0 s)",
        "bad encoding 100 (49 more of this kind in the last 5.0 s)",
    ]


def test_kinds_do_not_hide_each_other():
    lines: list[str] = []
    log = ThrottledLog(lines.append, lambda: 5.0, lambda: 1.0)
    log("step", "first")
    log("encoding", "second")
    log("step", "third")
    assert lines == ["first", "second"]


def test_the_period_can_change():
    lines: list[str] = []
    now, period = [0.0], [5.0]
    log = ThrottledLog(lines.append, lambda: period[0], lambda: now[0])
    log("a", "one")
    period[0], now[0] = 0.5, 1.0
    log("a", "two")
    assert lines == ["one", "two"]
