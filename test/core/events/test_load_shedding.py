"""When packets are left out."""

from __future__ import annotations

from madm_core.events import EventWindow
from madm_core.events.load_shedding import LoadShedder

MS = 1_000_000


def test_from_the_limit_until_a_tenth_of_it():
    shedder = LoadShedder(EventWindow(duration_ms=10, max_lag_ms=40))
    lags = {0: 0, 10: 40, 20: 41, 30: 30, 45: 5, 55: 4, 65: 30}
    assert [shedder.judge(at * MS, (at + lag) * MS) for at, lag in lags.items()] == [
        ("on time", 0), ("on time", 0), ("first", 1), ("late", 1), ("late", 1), ("over", 1), ("on time", 0),
    ]  # fmt: skip


def test_who_never_catches_up_counts_windows_all_the_same():
    shedder = LoadShedder(EventWindow(duration_ms=10, max_lag_ms=40))
    verdicts = [shedder.judge(at * MS, (at + 50 + at) * MS) for at in range(100)]
    assert [verdict for verdict, _ in verdicts] == ["first"] + ["late"] * 99
    assert sum(windows for _, windows in verdicts) == 10


def test_without_a_limit_nothing_is_shed():
    assert LoadShedder(EventWindow()).judge(0, 10**12) == ("on time", 0)
