"""Sensor time and host time."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.events.clock import SensorClock

SECOND = 1_000_000_000


def test_host_time_follows_the_latest_stamp_exactly():
    clock = SensorClock(1000)
    clock.observe(10 * SECOND, 500)
    assert clock.host_ns(500) == 10 * SECOND
    assert clock.host_ns(400) == 10 * SECOND - 100_000
    clock.observe(20 * SECOND + 7, 10_000_600)
    assert clock.host_ns(10_000_601) == 20 * SECOND + 1007
    assert clock.tick(20 * SECOND + 7) == 10_000_600


@pytest.mark.parametrize("drift_ppm", [-200.0, 0.0, 50.0])
def test_drift_is_found_under_jitter(drift_ppm):
    clock = SensorClock(1000)
    rng = np.random.default_rng(0)
    for index in range(6000):
        tick = index * 4000
        stamp = round(tick * 1000 * (1 + drift_ppm * 1e-6) + rng.exponential(200_000))
        clock.observe(1_700_000_000 * SECOND + stamp, tick)
    assert abs(clock.drift_ppm - drift_ppm) < 5
    ahead = clock.tick(1_700_000_000 * SECOND + stamp + 100 * SECOND)
    assert abs((ahead - tick) - 100e6 * (1 - clock.drift_ppm * 1e-6)) < 5


def test_no_drift_is_claimed_from_a_moment():
    clock = SensorClock(1000)
    clock.observe(SECOND, 0)
    clock.observe(SECOND + 5_000_000, 1000)
    assert clock.drift_ppm == 0


def test_wraps_that_passed_unseen():
    clock = SensorClock(1000)
    assert clock.missed_wraps(5, 5, 1 << 24) == 0
    clock.observe(0, 100)
    period = (1 << 24) * 1000
    assert clock.missed_wraps(1000, 101, 1 << 24) == 0
    assert clock.missed_wraps(3 * period + 1000, 101, 1 << 24) == 3
    assert clock.missed_wraps(3 * period + 1000, 101, 0) == 0
    assert clock.missed_wraps(-period, 101, 1 << 24) == 0
