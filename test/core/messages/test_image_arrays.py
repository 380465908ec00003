"""Images between messages and arrays: every encoding, step padding, byte order, and what must be refused."""

from __future__ import annotations

import array
import io
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madm_core.errors import InvalidInputError
from madm_core.messages.image_arrays import (
    ENCODINGS,
    array_to_image_fields,
    compressed_image_to_array,
    image_to_array,
    single_channel,
)


def message(values: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> SimpleNamespace:
    """A message with the given pixels, `padding` bytes of 0xAB after each row."""
    height, width = values.shape[:2]
    stored = values.astype(values.dtype.newbyteorder(">" if big_endian else "<"))
    rows = [stored[row].tobytes() + b"\xab" * padding for row in range(height)]
    return SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=len(rows[0]),
        data=array.array("B", b"".join(rows)),
    )


def random_pixels(encoding: str, height: int, width: int) -> np.ndarray:
    code, channels = ENCODINGS[encoding]
    rng = np.random.default_rng(height * 1000 + width)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return (rng.random(shape) * 250).astype(code)


def as_rgb(values: np.ndarray, encoding: str) -> np.ndarray:
    if encoding.startswith("bgr"):
        return values[..., [2, 1, 0]]
    return values[..., :3] if values.ndim == 3 else values


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [
        ("mono8", np.uint8, 1), ("8UC1", np.uint8, 1), ("mono16", np.uint16, 1), ("16UC1", np.uint16, 1),
        ("32FC1", np.float32, 1), ("rgb8", np.uint8, 3), ("bgr8", np.uint8, 3), ("rgba8", np.uint8, 4),
        ("bgra8", np.uint8, 4),
    ],
)  # fmt: skip
def test_the_encodings_mean_what_sensor_msgs_says(encoding, dtype, channels):
    """image_encodings.hpp; the other tests here take their pixels from the table of the module."""
    values = np.arange(4 * 6 * channels).reshape((4, 6, channels) if channels > 1 else (4, 6)).astype(dtype)
    image = message(values, encoding)
    np.testing.assert_array_equal(image_to_array(image), as_rgb(values, encoding))
    image.step -= 1  # the smallest step is the number of bytes in a row
    with pytest.raises(InvalidInputError, match="step"):
        image_to_array(image)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("big_endian", [False, True])
@given(height=st.integers(1, 9), width=st.integers(1, 9), padding=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_pixels_survive_padding_and_byte_order(encoding, big_endian, height, width, padding):
    values = random_pixels(encoding, height, width)
    pixels = image_to_array(message(values, encoding, padding, big_endian))
    np.testing.assert_array_equal(pixels, as_rgb(values, encoding))
    assert pixels.dtype == values.dtype


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_native_images_are_views(encoding):
    image = message(random_pixels(encoding, 4, 6), encoding, padding=8)
    before = image_to_array(image).copy()
    image.data[0] ^= 0x3F
    image.data[2] ^= 0x3F
    assert not np.array_equal(image_to_array(image), before)
    view = image_to_array(image)
    image.data[0] ^= 0x3F
    image.data[2] ^= 0x3F
    np.testing.assert_array_equal(view, before)  # the view saw the change: no copy was made


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_fields_round_trip(encoding):
    values = random_pixels(encoding, 5, 7)
    fields = array_to_image_fields(values, encoding)
    assert isinstance(fields["data"], bytes)
    assert fields["step"] * 5 == len(fields["data"])
    np.testing.assert_array_equal(image_to_array(SimpleNamespace(**fields)), as_rgb(values, encoding))


def test_non_contiguous_array_becomes_dense_fields():
    values = np.arange(40, dtype=np.uint16).reshape(5, 8)[:, ::2]
    fields = array_to_image_fields(values, "mono16")
    assert fields["step"] == 8
    np.testing.assert_array_equal(image_to_array(SimpleNamespace(**fields)), values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "bayer_rggb8"}, "encoding"),
        ({"encoding": ""}, "encoding"),
        ({"height": 0}, "size"),
        ({"width": 0}, "size"),
        ({"step": 11}, "step"),
        ({"step": 0}, "step"),
        ({"height": 5}, "data"),
        ({"data": b""}, "data"),
    ],
)
def test_bad_messages_are_refused_with_a_reason(change, reason):
    image = message(np.zeros((4, 6), np.uint16), "16UC1")
    for field, value in change.items():
        setattr(image, field, value)
    with pytest.raises(InvalidInputError) as error:
        image_to_array(image)
    assert error.value.reason == reason
    assert "got" in str(error.value) and "expected" in str(error.value)


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        (np.zeros((2, 2), np.uint8), "mono16"),
        (np.zeros((2, 2, 3), np.uint8), "mono8"),
        (np.zeros((2, 2, 4), np.uint8), "rgb8"),
        (np.zeros((2, 2), np.uint8), "yuv422"),
        (np.zeros((2, 2, 1), np.uint8), "mono8"),
        (np.zeros((2, 2), np.uint8), "rgb8"),
        (np.zeros(4, np.uint8), "mono8"),
        (np.zeros((2, 2), np.int16), "16UC1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(values, encoding):
    with pytest.raises(InvalidInputError) as refused:
        array_to_image_fields(values, encoding)
    assert refused.value.reason == "encoding"


def compressed(picture: np.ndarray, suffix: str, description: str, prefix: bytes = b"") -> SimpleNamespace:
    ok, encoded = cv2.imencode(suffix, picture)
    assert ok
    return SimpleNamespace(format=description, data=array.array("B", prefix + encoded.tobytes()))


def test_compressed_png_keeps_sixteen_bits():
    depth = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    np.testing.assert_array_equal(compressed_image_to_array(compressed(depth, ".png", "16UC1; png compressed")), depth)


@pytest.mark.parametrize(
    ("mode", "extension", "dtype", "shape"),
    [
        ("L", "JPEG", np.uint8, (6, 8)), ("1", "TIFF", np.uint8, (6, 8)), ("F", "TIFF", np.float32, (6, 8)),
        ("LA", "PNG", np.uint8, (6, 8, 3)), ("P", "PNG", np.uint8, (6, 8, 3)), ("CMYK", "JPEG", np.uint8, (6, 8, 3)),
    ],
)  # fmt: skip
def test_pictures_of_every_kind_have_one_channel_or_three(mode, extension, dtype, shape):
    stream = io.BytesIO()
    PIL.Image.new(mode, (8, 6)).save(stream, extension)
    picture = compressed_image_to_array(SimpleNamespace(format=extension, data=stream.getvalue()))
    assert (picture.dtype, picture.shape) == (dtype, shape)


def test_compressed_colour_is_rgb():
    bgr = np.zeros((8, 8, 3), np.uint8)
    bgr[..., 2] = 200
    np.testing.assert_array_equal(compressed_image_to_array(compressed(bgr, ".png", "bgr8; png"))[0, 0], [200, 0, 0])


def test_compressed_depth_millimetres_and_metres():
    header = struct.pack("<iff", 0, 0.0, 0.0)
    depth = np.array([[0, 1000], [2000, 65535]], np.uint16)
    description = "16UC1; compressedDepth png"
    np.testing.assert_array_equal(compressed_image_to_array(compressed(depth, ".png", description, header)), depth)

    depth_a, depth_b = 100.0 * 101.0, -99.0  # inverse-depth quantisation: stored = a / metres + b
    metres = np.array([[1.0, 2.5], [20.0, 50.0]], np.float32)
    stored = np.round(depth_a / metres + depth_b).astype(np.uint16)
    stored[1, 1] = 0
    header = struct.pack("<iff", 0, depth_a, depth_b)
    decoded = compressed_image_to_array(compressed(stored, ".png", " 32FC1; compressedDepth png ", header))
    assert decoded.dtype == np.float32 and np.isnan(decoded[1, 1])
    np.testing.assert_allclose(decoded[0], metres[0], rtol=1e-3)


def test_a_quantised_depth_without_a_distance_is_infinite():
    stored = np.array([[7, 9]], np.uint16)
    header = struct.pack("<iff", 0, 100.0, 7.0)
    decoded = compressed_image_to_array(compressed(stored, ".png", "32FC1; compressedDepth png", header))
    np.testing.assert_array_equal(decoded, np.array([[np.inf, 50]], np.float32))


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_transparency_is_left_out(extension):
    bgra = np.zeros((8, 8, 4), np.uint8)
    bgra[..., 0], bgra[..., 3] = 200, 9
    np.testing.assert_array_equal(
        compressed_image_to_array(compressed(bgra, extension, "rgba8; x")), np.full((8, 8, 3), (0, 0, 200))
    )


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n", b"\xff" * 200])
@pytest.mark.parametrize("description", ["png", "16UC1; compressedDepth png"])
def test_undecodable_pictures_are_refused(data, description):
    with pytest.raises(InvalidInputError) as error:
        compressed_image_to_array(SimpleNamespace(format=description, data=data))
    assert error.value.reason == "data"


def test_rvl_is_refused_by_name():
    with pytest.raises(InvalidInputError, match="png") as refused:
        compressed_image_to_array(SimpleNamespace(format="16UC1; compressedDepth RVL", data=b"0" * 40))
    assert refused.value.reason == "encoding"


@pytest.mark.parametrize(
    ("width", "height", "reason"), [(8192, 8192, "size"), (4096, 2049, "size"), (4096, 2048, "data")]
)
def test_a_few_bytes_that_claim_a_huge_picture_are_refused_before_they_are_decoded(width, height, reason, monkeypatch):
    stream = io.BytesIO()
    PIL.Image.new("L", (8, 8)).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    decoded = []
    monkeypatch.setattr(cv2, "imdecode", lambda *_: decoded.append(1))
    with pytest.raises(InvalidInputError, match=f"{width}x{height}" if reason == "size" else "decoded") as refused:
        compressed_image_to_array(SimpleNamespace(format="png", data=bytes(data)))
    assert refused.value.reason == reason
    assert bool(decoded) == (reason == "data")


def test_an_error_of_the_decoder_is_a_rejection(monkeypatch):
    def imdecode(*_):
        raise cv2.error("out of memory")

    message = compressed(np.zeros((4, 4), np.uint8), ".png", "png")
    monkeypatch.setattr(cv2, "imdecode", imdecode)
    with pytest.raises(InvalidInputError) as refused:
        compressed_image_to_array(message)
    assert refused.value.reason == "data"


def test_only_what_image_transport_sends_is_decoded():
    stream = io.BytesIO()
    PIL.Image.new("L", (8, 8)).save(stream, "BMP")
    with pytest.raises(InvalidInputError) as refused:
        compressed_image_to_array(SimpleNamespace(format="bmp", data=stream.getvalue()))
    assert refused.value.reason == "data"


def test_grey_in_three_channels_becomes_one():
    grey = np.random.default_rng(0).integers(0, 200, (6, 8), np.uint8)
    colour = np.stack([grey, grey + 3, grey], axis=2)  # JPEG's rounding
    np.testing.assert_array_equal(single_channel(colour), grey + 3)
    assert single_channel(grey) is grey


@pytest.mark.parametrize(("spread", "fits"), [(8, True), (9, False)])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_how_far_channels_of_a_grey_picture_may_differ(spread, fits, channel):
    picture = np.full((4, 6, 3), 240, np.uint8)
    picture[2, 3, channel] += spread
    if fits:
        grey = single_channel(picture)
        assert grey.flags.c_contiguous
        np.testing.assert_array_equal(grey, picture[:, :, 1])
    else:
        with pytest.raises(InvalidInputError, match="differ by up to 9;"):
            single_channel(picture)


def test_false_colours_are_refused():
    with pytest.raises(InvalidInputError, match="false colours") as error:
        single_channel(
            np.dstack([np.zeros((4, 4), np.uint8), np.full((4, 4), 200, np.uint8), np.zeros((4, 4), np.uint8)])
        )
    assert error.value.reason == "encoding"


@pytest.mark.parametrize(
    "value", [np.float32(np.nan), np.float32(np.inf), np.uint16(65535), np.int16(-32768)], ids=lambda value: str(value)
)
def test_colour_of_any_type_is_refused(value):
    picture = np.full((4, 6, 3), 30000, value.dtype)
    picture[1, 2, 0] = value
    with pytest.raises(InvalidInputError) as refused:
        single_channel(picture)
    assert refused.value.reason == "encoding"
