import numpy as np
import pytest

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.modalities import EventModality


def grid_with(values, bins=3, shape=(20, 30)):
    grid = np.zeros((bins, *shape), np.float32)
    grid[:, : len(values), 0] = values
    return grid


def test_no_event_is_grey_and_polarity_is_symmetric():
    image = EventModality(percentile=100).encode(grid_with([2.0, -2.0, 1.0])).image
    assert image.shape == (20, 30, 3) and image.dtype == np.float32
    assert image[5, 5].tolist() == [0.5, 0.5, 0.5]
    assert image[:3, 0, 0].tolist() == [1.0, 0.0, 0.75]


def test_bins_are_channels():
    grid = grid_with([])
    grid[1, 4, 5] = 1
    image = EventModality().encode(grid).image
    assert image[4, 5].tolist() == [0.5, 1.0, 0.5]


def test_one_bin_fills_all_channels():
    image = EventModality(bins=1).encode(grid_with([1.0], bins=1)).image
    assert image[0, 0].tolist() == [1.0, 1.0, 1.0]


def test_a_hot_pixel_does_not_set_the_contrast():
    grid = np.zeros((3, 40, 40), np.float32)
    grid[:, :, :20] = 1
    grid[0, 0, 39] = 1000
    image = EventModality(percentile=99).encode(grid).image
    assert image[3, 3] == pytest.approx([1, 1, 1])


def test_empty_window_is_grey():
    encoded = EventModality().encode(np.zeros((3, 4, 5), np.float32))
    assert encoded.valid is None and (encoded.image == 0.5).all()


@pytest.mark.parametrize("grid", [np.zeros((5, 4, 4), np.float32), np.zeros((4, 4), np.float32), np.zeros((3, 4, 4))])
def test_other_arrays_are_refused(grid):
    with pytest.raises(InvalidInputError, match=r"float32 \(3, H, W\)"):
        EventModality().encode(grid)


@pytest.mark.parametrize(
    "parameters", [{"bins": 5}, {"percentile": 0.0}, {"window_ms": 0.0}, {"window_count": 0}, {"max_wait_ms": -1.0}]
)
def test_impossible_parameters_are_refused(parameters):
    with pytest.raises(ConfigError):
        EventModality(**parameters)
