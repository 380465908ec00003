import numpy as np
import pytest

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.modalities import ThermalModality
from madm_core.modalities.thermal import _percentiles

RAMP = np.linspace(3000, 4000, 10000).reshape(100, 100)


def test_8_bit_is_taken_as_it_is():
    raw = np.array([[0, 51, 255]], np.uint8)
    encoded = ThermalModality().encode(raw)
    assert encoded.valid is None and encoded.image[0, :, 1] == pytest.approx([0, 0.2, 1])


def test_percentiles_become_the_ends():
    image = ThermalModality(low_percentile=10, high_percentile=90).encode(RAMP.astype(np.uint16)).image[..., 0]
    assert image[0, 0] == 0 and image[-1, -1] == 1
    assert np.median(image) == pytest.approx(0.5, abs=0.01)
    assert (image == 0).mean() == pytest.approx(0.1, abs=0.01)


def test_a_gain_step_does_not_flicker():
    modality = ThermalModality(smoothing=0.9)
    first = modality.encode(RAMP.astype(np.uint16)).image
    hot = RAMP.copy()
    hot[:20] += 2000
    smoothed = modality.encode(hot.astype(np.uint16)).image
    jumped = ThermalModality().encode(hot.astype(np.uint16)).image
    rest = slice(20, None)
    assert np.abs(smoothed[rest] - first[rest]).max() < 0.5 * np.abs(jumped[rest] - first[rest]).max()
    modality.reset()
    assert np.array_equal(modality.encode(hot.astype(np.uint16)).image, jumped)


def test_fixed_range_in_kelvin_and_raw_agree():
    raw = np.array([[27315, 29315, 31315, 10]], np.uint16)  # centi-kelvin: 0, 20 and 40 degrees Celsius, and far below
    kelvin = ThermalModality(range="fixed", units="kelvin", low=273.15, high=313.15).encode(raw).image
    counts = ThermalModality(range="fixed", low=27315, high=31315).encode(raw).image
    assert kelvin[0, :, 0] == pytest.approx([0, 0.5, 1, 0], abs=1e-4)
    assert kelvin == pytest.approx(counts, abs=1e-4)


def test_floats_with_holes_are_masked():
    raw = RAMP.astype(np.float32)
    raw[3, 4] = np.nan
    raw[5, 6] = np.inf
    encoded = ThermalModality().encode(raw)
    assert (~encoded.valid).sum() == 2 and np.isfinite(encoded.image).all()
    nothing = ThermalModality().encode(np.full((3, 3), np.nan, np.float32))
    assert not nothing.valid.any()


def test_a_constant_frame_is_finite():
    image = ThermalModality().encode(np.full((8, 8), 7000, np.uint16)).image
    assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize(
    "raw", [np.zeros((3, 3, 3), np.uint8), np.zeros((3, 0), np.uint16), np.zeros((3, 3), np.int32)]
)
def test_other_arrays_are_refused(raw):
    with pytest.raises(InvalidInputError, match="uint8, uint16 or float32"):
        ThermalModality().encode(raw)


@pytest.mark.parametrize(
    "parameters",
    [
        {"low_percentile": 60.0, "high_percentile": 40.0},
        {"smoothing": 1.0},
        {"low": 2.0, "high": 1.0},
        {"kelvin_per_count": 0.0},
    ],
)
def test_impossible_parameters_are_refused(parameters):
    with pytest.raises(ConfigError):
        ThermalModality(**parameters)


@pytest.mark.parametrize("size", [1, 2, 7, 100, 20011])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_percentiles_are_numpys(size, dtype):
    values = (np.random.default_rng(size).random(size) * 60000).astype(dtype)
    for ends in ((1.0, 99.0), (0.0, 100.0), (12.34, 56.78), (49.9, 50.0)):
        np.testing.assert_allclose(_percentiles(values, ends), np.percentile(values, ends), rtol=1e-6)
