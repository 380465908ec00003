import numpy as np
import pytest

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.modalities import DepthModality


def gray(modality, raw):
    encoded = modality.encode(raw)
    assert encoded.image.dtype == np.float32 and encoded.image.shape == (*raw.shape, 3)
    assert (encoded.image[..., 0] == encoded.image[..., 2]).all()
    return encoded.image[..., 0], encoded.valid


def test_log_is_carlas_formula():
    depth = np.array([[3.4, 10.0, 100.0, 999.0, 2000.0, 0.5]], np.float32)
    image, valid = gray(DepthModality(), depth)
    expected = np.clip(1 + np.log(depth / 1000) / 5.70378, 0, 1)
    assert valid.all() and image == pytest.approx(expected, abs=1e-6)


def test_millimetres_and_metres_give_the_same_picture():
    metres = np.array([[0.5, 4.0], [12.0, 60.0]], np.float32)
    millimetres = (metres * 1000).astype(np.uint16)
    modality = DepthModality(min_depth_m=0.3, max_depth_m=80)
    assert gray(modality, metres)[0] == pytest.approx(gray(modality, millimetres)[0], abs=1e-6)


@pytest.mark.parametrize(
    ("encoding", "expected"), [("inverse", (1.0, 0.0)), ("linear", (0.1, 1.0)), ("log", (0.0, 1.0))]
)
def test_ends_of_the_range(encoding, expected):
    image, _ = gray(DepthModality(encoding=encoding, min_depth_m=1, max_depth_m=10), np.array([[1, 10]], np.float32))
    assert image[0] == pytest.approx(expected, abs=1e-6)


def test_depth_scale_overrides():
    raw = np.array([[2000]], np.uint16)
    linear = DepthModality(encoding="linear", min_depth_m=0.1, max_depth_m=1, depth_scale=0.0001)
    assert gray(linear, raw)[0] == pytest.approx(0.2)


def test_invalid_pixels_take_the_nearest_depth_and_are_masked():
    depth = np.full((9, 9), 5.0, np.float32)
    depth[:, 5:] = 9.0
    depth[2, 1] = np.nan
    depth[3, 7] = np.inf
    depth[4, 0] = 0
    depth[5, 8] = -1
    modality = DepthModality(encoding="linear", min_depth_m=0.1, max_depth_m=10)
    image, valid = gray(modality, depth)
    assert (~valid).sum() == 4 and not valid[2, 1]
    assert image[2, 1] == pytest.approx(0.5) and image[3, 7] == pytest.approx(0.9)
    assert image[4, 0] == pytest.approx(0.5) and image[5, 8] == pytest.approx(0.9)


def test_nothing_valid_is_all_masked():
    image, valid = gray(DepthModality(), np.full((4, 5), np.nan, np.float32))
    assert not valid.any() and np.isfinite(image).all()
    assert not gray(DepthModality(), np.zeros((4, 5), np.uint16))[1].any()


def test_infinity_can_mean_far():
    modality = DepthModality(encoding="linear", min_depth_m=0.1, max_depth_m=10, infinity_is_far=True)
    image, valid = gray(modality, np.array([[np.inf, -np.inf, 5]], np.float32))
    assert valid.tolist() == [[True, False, True]] and image[0, 0] == 1


def test_input_is_left_alone():
    raw = np.array([[np.inf, 5]], np.float32)
    DepthModality(infinity_is_far=True).encode(raw)
    assert np.isinf(raw[0, 0])


@pytest.mark.parametrize(
    "raw",
    [np.zeros((3, 3), np.uint8), np.zeros((3, 3, 3), np.uint16), np.zeros((0, 3), np.uint16), np.zeros(3, np.float64)],
)
def test_other_arrays_are_refused(raw):
    with pytest.raises(InvalidInputError, match="uint16 millimetres or float32 metres") as error:
        DepthModality().encode(raw)
    assert error.value.reason == "depth_array"


@pytest.mark.parametrize(
    "parameters", [{"min_depth_m": 0.0}, {"min_depth_m": 5.0, "max_depth_m": 5.0}, {"depth_scale": -1.0}]
)
def test_impossible_parameters_are_refused(parameters):
    with pytest.raises(ConfigError):
        DepthModality(**parameters)


def test_floats_that_a_damaged_message_may_hold_cause_no_warning():
    raw = np.full((4, 4), 5.0, np.float32)
    raw[0] = np.frombuffer(np.uint32([0x7F800001, 0x7F7FFFFF, 0x00000001, 0xFF800000]).tobytes(), np.float32)
    for encoding in ("log", "inverse", "linear"):
        encoded = DepthModality(encoding=encoding).encode(raw)
        assert np.isfinite(encoded.image).all()
        assert encoded.valid[0].tolist() == [False, True, True, False]


@pytest.mark.parametrize("encoding", ["log", "inverse", "linear"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_order_in_memory_does_not_matter(encoding, dtype):
    raw = np.random.default_rng(0).uniform(500, 60000, (12, 17)).astype(dtype)
    raw[3:5, 2:9] = 0
    modality = DepthModality(encoding=encoding, depth_scale=0.001)
    expected = modality.encode(raw)
    for same in (np.asfortranarray(raw), np.ascontiguousarray(raw.T).T, np.repeat(raw, 2, axis=1)[:, ::2]):
        found = modality.encode(same)
        assert np.array_equal(found.image, expected.image) and np.array_equal(found.valid, expected.valid)
