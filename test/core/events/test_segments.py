"""Which segment of a window a tick belongs to, and which windows take words of which size."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.events.packed_sums import MAX_BINS, MAX_DURATION, MAX_REACH
from madm_core.events.registers import (
    EARLIEST,
    FOLD_AFTER,
    NARROW,
    REFERENCE,
    REGISTERS,
    SEGMENT,
    SEGMENT_START,
    SEGMENT_STOP,
    T_START,
    TICK_MASK,
)
from madm_core.events.segments import MAX_TICKS, enter_segment, plan_window


def planned(duration: int, bins: int, *, t_start: int = 0, earliest: int = -MAX_TICKS) -> np.ndarray:
    registers = np.ones(REGISTERS, np.int64)
    assert plan_window(registers, t_start, t_start + duration, bins, 346, 260, earliest=earliest)
    return registers


@pytest.mark.parametrize(
    ("duration", "bins", "short"),
    [
        (50_000, 3, True),  # 50 ms in microseconds
        (50_000, 15, True),
        (0, 3, True),
        (50_000_000, 3, False),  # and in nanoseconds
        (2 * (MAX_REACH - 2) + 1, 2, True),
        (2 * (MAX_REACH - 2) + 2, 2, False),
        (MAX_DURATION, 1, True),
        (MAX_DURATION + 1, 1, False),
        (MAX_DURATION, MAX_BINS, True),
        (MAX_DURATION + 1, MAX_BINS, False),
        (50_000, MAX_BINS + 1, False),
    ],
)
def test_short_words_wherever_they_hold(duration, bins, short):
    """They are twice as fast: a window that takes long ones without need is right, and too slow."""
    assert (planned(duration, bins)[NARROW] > 0) == short


def test_windows_too_long_for_integers_are_refused():
    registers = np.zeros(REGISTERS, np.int64)
    for t_start, duration, bins in ((0, 10**13, 3), (MAX_TICKS, 50_000, 3), (-MAX_TICKS, 50_000, 3)):
        assert not plan_window(registers, t_start, t_start + duration, bins, 346, 260)
    # As far as ticks of the window's reach stay within.
    far = MAX_TICKS - 2 * 50_000 * 3
    assert not plan_window(registers, far, far + 50_000, 3, 346, 260)
    assert plan_window(registers, far - 1, far + 49_999, 3, 346, 260)
    assert registers[FOLD_AFTER] > 20_000


@pytest.mark.parametrize("t_start", [0, 1000, -7])
@pytest.mark.parametrize(("duration", "bins"), [(12, 4), (10, 4), (3, 2), (1, 2), (7, 2), (2, 7), (100, 7)])
def test_each_tick_has_one_segment(t_start, duration, bins):
    """Its borders enclose just the ticks between the same two bins; the window's end is before the last bin."""
    expected = {}
    for t in range(t_start - 2 * duration, t_start + 3 * duration + 2):
        number, rest = divmod((t - t_start) * (bins - 1), duration)
        if t == t_start + duration:
            number = bins - 2
        # Exactly a bin before the first no bin is reached any more, and a bin after the last neither.
        if -1 <= number < bins and (number, rest) != (-1, 0):
            expected[t] = number
    for t in range(t_start - 2 * duration, t_start + 3 * duration + 2):
        registers = planned(duration, bins, t_start=t_start)
        entered = enter_segment(t, registers)
        if t not in expected:
            # What touches a bin with weight 0 may be taken; what lies beyond is not.
            assert not entered or (t - t_start) * (bins - 1) in (-duration, bins * duration)
            continue
        assert entered
        assert registers[SEGMENT] == expected[t]
        first, stop = registers[SEGMENT_START], registers[SEGMENT_STOP]
        assert first <= t < stop
        assert first <= registers[REFERENCE] <= stop
        inside = {tick for tick, number in expected.items() if number == expected[t]}
        touching = {t_start - duration // (bins - 1)} if duration % (bins - 1) == 0 else set()
        assert inside <= set(range(first, stop)) <= inside | touching


@pytest.mark.parametrize("earliest", [-MAX_TICKS, 5])
def test_one_bin_takes_all_times(earliest):
    registers = planned(10, 1, t_start=20, earliest=earliest)
    assert registers[TICK_MASK] == 0
    assert enter_segment(500, registers)
    borders = registers[SEGMENT_START], registers[SEGMENT_STOP], registers[REFERENCE]
    assert borders == (registers[EARLIEST], MAX_TICKS, 20)
    assert (registers[SEGMENT], registers[EARLIEST]) == (0, earliest)


def test_a_window_without_length_takes_its_one_tick():
    registers = planned(0, 3, t_start=20)
    assert not enter_segment(19, registers)
    assert not enter_segment(21, registers)
    assert enter_segment(20, registers)
    assert (registers[SEGMENT], registers[SEGMENT_START], registers[SEGMENT_STOP]) == (0, 20, 21)
    assert registers[T_START] == 20
