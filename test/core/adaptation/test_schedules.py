from __future__ import annotations

import numpy as np
import pytest

from madm_core.adaptation.schedules import LearningRateSchedule, pseudo_label_timestep


@pytest.mark.parametrize(
    ("table", "start", "end_step"),
    [
        ("depth_from60", 60, 5000),
        ("depth_from61", 61, 5000),
        ("infrared_event_from50", 50, 8000),
        ("infrared_event_from51", 51, 8000),
    ],
)
def test_noise_schedule_equals_the_reference_at_every_step(golden, table, start, end_step):
    expected = np.load(golden / "noise_schedule.npz")[table]
    timesteps = [pseudo_label_timestep(step, start=start, end_step=end_step) for step in range(end_step + 1)]
    np.testing.assert_array_equal(timesteps, expected)


def test_noise_ends_and_can_be_absent():
    assert pseudo_label_timestep(5001, start=60, end_step=5000) == 0
    assert pseudo_label_timestep(0, start=60, end_step=0) == 0
    assert pseudo_label_timestep(0, start=0, end_step=10) == 0


def test_noise_falls_from_its_start_once_there_are_pseudo_labels():
    timesteps = [pseudo_label_timestep(step, start=20, first_step=300, end_step=450) for step in range(600)]
    assert timesteps[:301] == [20] * 301
    assert timesteps[450:] == [0] * 150
    # Where it began with the training, the same line needed another start; published runs were made so.
    assert timesteps[300:] == [pseudo_label_timestep(step, start=60, end_step=450) for step in range(300, 600)]


def test_source_only_training_has_no_line_to_follow():
    assert pseudo_label_timestep(99, start=20, first_step=100, end_step=100) == 20
    assert pseudo_label_timestep(100, start=20, first_step=100, end_step=100) == 0


def test_learning_rate_equals_the_reference_at_every_step(golden):
    expected = np.load(golden / "lr_schedule.npz")["multiplier"]
    schedule = LearningRateSchedule(10000)
    np.testing.assert_allclose([schedule.multiplier(step) for step in range(10000)], expected, rtol=1e-12)


def test_learning_rate_scales_with_the_length():
    schedule = LearningRateSchedule(200, warmup_fraction=0.1, warmup_start=0.5, drops=(0.5,))
    assert schedule.multiplier(0) == 0.5
    assert schedule.multiplier(10) == pytest.approx(0.75)
    assert schedule.multiplier(20) == schedule.multiplier(99) == 1
    assert schedule.multiplier(101) == pytest.approx(0.1)
    assert LearningRateSchedule(200, warmup_fraction=0).multiplier(0) == 1
