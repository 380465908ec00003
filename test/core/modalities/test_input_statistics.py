"""Pictures in numbers, and how far one is from others."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.errors import ConfigError
from madm_core.modalities.input_statistics import InputStatistics, picture_values


def test_values_of_a_picture_do_not_depend_on_its_type():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16] = 255
    valid = np.ones((32, 32), bool)
    valid[:8] = False
    picture[:, :, 1] = 255 - picture[:, :, 1]
    for image in (picture, picture.astype(np.float32) / 255):
        values = picture_values(image, valid)
        assert values == pytest.approx({"picture_mean": 0.5, "picture_contrast": 0.5, "valid_share": 0.75})
    assert picture_values(picture, None)["valid_share"] == 1.0


def made_of(*means):
    values = {"picture_contrast": 0.2, "valid_share": 1.0}
    return InputStatistics.of([{"picture_mean": mean, **values} for mean in means])


def test_deviations_are_in_spreads_of_the_training_pictures():
    statistics = made_of(0.4, 0.6)
    assert statistics.frames == 2
    seen = statistics.deviations({"picture_mean": 0.8, "picture_contrast": 0.2, "valid_share": 1.0})
    assert seen == pytest.approx({"picture_mean": 3.0, "picture_contrast": 0.0, "valid_share": 0.0})


def test_pictures_that_are_all_alike_do_not_make_every_other_one_unusual():
    seen = made_of(0.5, 0.5).deviations({"picture_mean": 0.52, "picture_contrast": 0.2, "valid_share": 0.99})
    assert seen == pytest.approx({"picture_mean": 1.0, "picture_contrast": 0.0, "valid_share": 0.5})


def test_what_was_written_is_read_again():
    statistics = made_of(0.1, 0.2, 0.6)
    assert InputStatistics.from_dict(statistics.to_dict()) == statistics


@pytest.mark.parametrize(
    "change",
    [{"frames": "many"}, {"picture_mean": None}, {"valid_share": {"mean": 1.0}}, {"picture_mean": 3},
     {"picture_contrast": {"mean": float("nan"), "spread": 0.1}}, {"picture_contrast": {"mean": 0.1, "spread": -1.0}}],
)  # fmt: skip
def test_damaged_statistics_are_an_error(change):
    with pytest.raises(ConfigError, match="input statistics"):
        InputStatistics.from_dict({**made_of(0.5).to_dict(), **change})
