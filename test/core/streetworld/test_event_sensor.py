"""The event camera against cases whose events can be written down."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.errors import InvalidInputError
from madm_core.events import EVENT_DTYPE
from madm_core.streetworld.event_sensor import EventSensor

MILLISECOND = 1_000_000
CLEAN = {"mismatch": 0.0, "noise_hz": 0.0, "refractory_ns": 0, "blur": 0.0, "dark": 1e-6}


def record(sensor: EventSensor, pictures, times_ns) -> np.ndarray:
    parts = [
        sensor.add(picture.astype(np.float32), int(time)) for picture, time in zip(pictures, times_ns, strict=True)
    ]
    return np.concatenate(parts)


def test_exponential_brightening_gives_evenly_spaced_events():
    """log I = a t: the k-th event of a pixel is due at t = k C / a, exactly, whatever the frame rate."""
    contrast, slope = 0.25, 10.0  # per second
    times = np.arange(0, 1_000 * MILLISECOND, 37 * MILLISECOND)
    sensor = EventSensor(2, 3, contrast=contrast, **CLEAN)
    pictures = [np.full((2, 3), 0.01 * np.exp(slope * time * 1e-9)) for time in times]
    events = record(sensor, pictures, times)
    total = int(slope * times[-1] * 1e-9 / contrast)
    for x in range(3):
        for y in range(2):
            own = events[(events["x"] == x) & (events["y"] == y)]
            assert len(own) in (total, total - 1) and (own["p"] == 1).all()
            expected = (np.arange(len(own)) + 1) * contrast / slope * 1e9
            # The dark current bends the logarithm by 1e-4 of a threshold.
            np.testing.assert_allclose(own["t"], expected, atol=0.2 * MILLISECOND)


def edge_pictures(times_s, speed: float, dark: float, bright: float, width: int) -> list[np.ndarray]:
    """A bright area that comes in from the left at ``speed`` pixels a second; a pixel shows the share that it
    covers."""
    columns = np.arange(width)
    return [np.tile(dark + (bright - dark) * np.clip(speed * t - columns, 0, 1), (4, 1)) for t in times_s]


@pytest.mark.parametrize("falling", [False, True])
def test_step_edge_at_constant_speed_gives_the_predicted_counts_and_times(falling):
    """A pixel's intensity rises from A to B while the edge crosses it: floor(ln(B/A)/C) events, the k-th when
    ln(A + (B-A) v (t - t0)) = ln A + k C, that is at t0 + A (exp(k C) - 1) / ((B - A) v)."""
    dark, bright, speed, contrast, width = 0.1, 0.9, 20.0, 0.3, 12
    first, last = (bright, dark) if falling else (dark, bright)
    times_s = np.arange(0, width / speed + 0.05, 0.0005)
    sensor = EventSensor(4, width, contrast=contrast, **CLEAN)
    events = record(sensor, edge_pictures(times_s, speed, first, last, width), times_s * 1e9)
    count = int(np.log(bright / dark) / contrast)
    assert count == 7
    sign = -1 if falling else 1
    steps = sign * contrast * np.arange(1, count + 1)
    for x in range(width):
        for y in range(4):
            own = events[(events["x"] == x) & (events["y"] == y)]
            expected = x / speed + first * (np.exp(steps) - 1) / ((last - first) * speed)
            assert len(own) == count and (own["p"] == (0 if falling else 1)).all()
            # Linear interpolation of the logarithm between renderings 0.5 ms apart.
            np.testing.assert_allclose(own["t"] * 1e-9, expected, atol=0.25e-3)


def test_events_come_in_the_order_of_their_times_and_between_the_pictures():
    rng = np.random.default_rng(0)
    sensor = EventSensor(24, 32, seed=1)
    times = np.arange(1, 12) * 7 * MILLISECOND
    for index, time in enumerate(times):
        events = sensor.add(rng.uniform(0.05, 1, (24, 32, 3)).astype(np.float32), int(time))
        if index == 0:
            assert len(events) == 0
            continue
        assert len(events) > 100 and events.dtype == EVENT_DTYPE
        assert (np.diff(events["t"]) >= 0).all()
        assert events["t"][0] >= times[index - 1] and events["t"][-1] <= time
        assert events["x"].max() < 32 and events["y"].max() < 24


def test_refractory_time_keeps_a_pixel_silent_but_its_level_moves_on():
    options = {**CLEAN, "refractory_ns": 30 * MILLISECOND}
    sensor = EventSensor(1, 1, contrast=0.1, **options)
    times = np.arange(0, 106, 5) * MILLISECOND
    pictures = [np.full((1, 1), 0.01 * np.exp(10 * time * 1e-9)) for time in times]  # one crossing every 10 ms
    events = record(sensor, pictures, times)
    assert (np.diff(events["t"]) >= 30 * MILLISECOND).all()
    assert len(events) == 4, "at 10, 40, 70 and 100 ms"
    still = sensor.add(pictures[-1].astype(np.float32), int(times[-1]) + 50 * MILLISECOND)
    assert len(still) == 0, "what happened in the blind time is not made up for"


def test_a_small_change_is_remembered_until_it_adds_up():
    sensor = EventSensor(1, 1, contrast=0.2, **CLEAN)
    pictures = [np.full((1, 1), np.exp(0.09 * step)) for step in range(6)]
    events = record(sensor, pictures, np.arange(6) * MILLISECOND)
    assert len(events) == 2, "0.45 of log intensity hold two thresholds of 0.2"


def test_noise_has_the_rate_that_was_asked_for():
    sensor = EventSensor(64, 64, noise_hz=5.0, seed=3)
    picture = np.full((64, 64), 0.5, np.float32)
    sensor.add(picture, 0)
    events = sensor.add(picture, 1_000 * MILLISECOND)
    expected = 5.0 * 64 * 64
    assert abs(len(events) - expected) < 5 * np.sqrt(expected)
    assert 0.75 < events["p"].mean() < 0.85


def test_the_dark_current_hides_contrast_in_the_dark():
    counts = []
    for level in (1.0, 1e-4):
        sensor = EventSensor(1, 1, contrast=0.1, mismatch=0.0, noise_hz=0.0, blur=0.0, dark=2e-3)
        sensor.add(np.full((1, 1), level, np.float32), 0)
        counts.append(len(sensor.add(np.full((1, 1), 2 * level, np.float32), 100 * MILLISECOND)))
    assert counts == [6, 0]


def test_equal_seeds_give_equal_events():
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0.05, 1, (4, 16, 16)).astype(np.float32)
    times = np.arange(4) * MILLISECOND
    same = [record(EventSensor(16, 16, seed=5, noise_hz=100), pictures, times) for _ in range(2)]
    np.testing.assert_array_equal(same[0], same[1])
    other = record(EventSensor(16, 16, seed=6, noise_hz=100), pictures, times)
    assert len(other) != len(same[0]) or (other != same[0]).any()


def test_misuse_is_explained():
    with pytest.raises(InvalidInputError, match="cannot be simulated"):
        EventSensor(4, 4, contrast=0.0)
    sensor = EventSensor(4, 4)
    sensor.add(np.ones((4, 4), np.float32), 10)
    with pytest.raises(InvalidInputError, match="out of order"):
        sensor.add(np.ones((4, 4), np.float32), 10)
    with pytest.raises(InvalidInputError, match="another size"):
        sensor.add(np.ones((4, 5), np.float32), 20)
