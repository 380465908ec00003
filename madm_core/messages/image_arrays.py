"""Images between ROS messages and numpy arrays, without ROS and without copies.

The functions read any object with the fields of ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage``: rclpy's
messages as well as what ``rosbags`` decodes. Encoding names are those of ``sensor_msgs/image_encodings``; depth images
follow REP-118 (16UC1 millimetres, 32FC1 metres), which is for the modality to interpret: an array holds raw values.
"""

from __future__ import annotations

import io
import struct
import sys
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from madm_core.errors import InvalidInputError
from madm_core.messages.png_chunks import chunks_fit

ENCODINGS: dict[str, tuple[str, int]] = {
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "rgba8": ("u1", 4),
    "bgra8": ("u1", 4),
}
"""Encoding name -> (numpy type without byte order, channels): what :func:`image_to_array` reads."""

_COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")
"""compressed_depth_image_transport puts a format number and two quantisation parameters before the picture."""

_COMPRESSIONS = ("JPEG", "PNG", "TIFF")
"""What compressed_image_transport sends. OpenCV would try a dozen more decoders on whatever arrives."""

MAX_COMPRESSED_PIXELS = 1 << 23
"""8 million, a 4K picture: a few hundred bytes can claim to be a picture that fills the memory."""

_GREY_TOLERANCE = 8
"""JPEG's colour channels may shift a grey value by a few counts."""


class ImageFields(Protocol):
    """The fields of ``sensor_msgs/Image`` that are read here; ``data`` is anything with the buffer protocol."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def encoding(self) -> str: ...
    @property
    def is_bigendian(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def data(self) -> Any: ...


class CompressedImageFields(Protocol):
    """The fields of ``sensor_msgs/CompressedImage`` that are read here; ``data`` has the buffer protocol."""

    @property
    def format(self) -> str: ...
    @property
    def data(self) -> Any: ...


def image_to_array(message: ImageFields) -> np.ndarray:
    """View the pixels of an image message as an array.

    Args:
        message: An object with the fields of ``sensor_msgs/Image``; ``data`` is anything with the buffer protocol.

    Returns:
        ``(H, W)`` uint8, uint16 or float32 for the one-channel encodings; ``(H, W, 3)`` uint8 in RGB order for the
        colour encodings (an alpha channel is left out). A view of ``message.data`` in native byte order wherever the
        memory allows it: only foreign byte order and a ``step`` that is not a multiple of the sample size cost a copy.
        Padding at the end of a row is skipped.

    Raises:
        InvalidInputError: reason ``encoding``, ``size``, ``step`` or ``data``.
    """
    height, width, encoding = int(message.height), int(message.width), str(message.encoding)
    if encoding not in ENCODINGS:
        raise InvalidInputError(
            "the image's encoding cannot be read",
            reason="encoding",
            got=repr(encoding[:40]),
            expected=", ".join(ENCODINGS),
            do="make the camera driver publish one of these, or install cv_bridge for Bayer and YUV images",
        )
    if height <= 0 or width <= 0:
        raise InvalidInputError(
            "the image is empty",
            reason="size",
            got=f"{width}x{height} pixels",
            expected="at least 1x1",
            do="look at the camera driver's resolution settings",
        )
    code, channels = ENCODINGS[encoding]
    sample = int(code[1])
    row_bytes = width * channels * sample
    step = int(message.step)
    if step < row_bytes:
        raise InvalidInputError(
            "the image's step is shorter than one row",
            reason="step",
            got=f"step {step}",
            expected=f"at least {row_bytes} bytes ({width} pixels of {encoding})",
            do="the driver fills in the message wrongly: step is the full row length in bytes",
        )
    data = memoryview(message.data).cast("B")
    if len(data) < height * step:
        raise InvalidInputError(
            "the image's data is too short",
            reason="data",
            got=f"{len(data)} bytes",
            expected=f"{height * step} (height {height} x step {step})",
            do="the message was cut off or its header does not describe its data",
        )
    dtype = np.dtype(code).newbyteorder(">" if message.is_bigendian else "<")
    pixels: np.ndarray = np.ndarray(
        (height, width, channels), dtype, buffer=data, strides=(step, channels * sample, sample)
    )
    if step % sample or not dtype.isnative:
        pixels = pixels.astype(dtype.newbyteorder("="))
    if channels == 1:
        return pixels[:, :, 0]
    return pixels[:, :, 2::-1] if encoding.startswith("bgr") else pixels[:, :, :3]


def compressed_image_to_array(message: CompressedImageFields) -> np.ndarray:
    """Decode a compressed image message (JPEG, PNG, ... or the PNG kind of ``compressedDepth``).

    Args:
        message: An object with the fields of ``sensor_msgs/CompressedImage``.

    Returns:
        ``(H, W)`` in the picture's own type (uint8, uint16; TIFF has float32 and others, too), ``(H, W)`` float32
        metres for a quantised 32FC1 ``compressedDepth`` (0 in the picture becomes NaN), or ``(H, W, 3)`` RGB.

    Raises:
        InvalidInputError: reason ``data`` (nothing that can be decoded), ``size`` (more than
            :data:`MAX_COMPRESSED_PIXELS`) or ``encoding`` (RVL compression).
    """
    data = np.frombuffer(memoryview(message.data).cast("B"), np.uint8)
    description = str(message.format)
    quantisation: tuple[float, float] | None = None
    if "compressedDepth" in description:
        if "rvl" in description.lower():
            raise InvalidInputError(
                "the compressed depth image cannot be read",
                reason="encoding",
                got=f"format {description[:60]!r}",
                expected="compressedDepth with PNG compression",
                do="set the publisher's compressedDepth format parameter to png",
            )
        if data.size > _COMPRESSED_DEPTH_HEADER.size:
            _, depth_a, depth_b = _COMPRESSED_DEPTH_HEADER.unpack_from(data.data)
            quantisation = (depth_a, depth_b) if description.lstrip().startswith("32FC1") else None
        data = data[_COMPRESSED_DEPTH_HEADER.size :]
    picture = _decoded(data)
    if picture is None:
        raise InvalidInputError(
            "the compressed image cannot be decoded",
            reason="data",
            got=f"{data.size} bytes of format {description[:60]!r}",
            expected="a complete JPEG, PNG or TIFF picture",
            do="the message was cut off, or holds another compression (video streams are not read)",
        )
    if picture.ndim == 3:
        return picture[:, :, 2::-1]
    if quantisation is None:
        return picture
    depth_a, depth_b = quantisation
    with np.errstate(all="ignore"):  # a damaged quantisation gives infinities, which are no measurement
        metres = np.float32(depth_a) / (picture.astype(np.float32) - np.float32(depth_b))
    return np.where(picture == 0, np.float32(np.nan), metres).astype(np.float32)


def _decoded(data: np.ndarray) -> np.ndarray | None:
    """The picture in (N,) uint8 compressed bytes as OpenCV gives it, None if they are no such picture."""
    content = data.tobytes()
    if not chunks_fit(content):
        return None
    try:
        width, height = Image.open(io.BytesIO(content), formats=_COMPRESSIONS).size  # reads the header only
    except Exception:  # damaged headers make Pillow's parsers fail in many ways
        return None
    if width * height > MAX_COMPRESSED_PIXELS:
        raise InvalidInputError(
            "the compressed image is too large",
            reason="size",
            got=f"{width}x{height} pixels",
            expected=f"at most {MAX_COMPRESSED_PIXELS} pixels",
            do="the message is damaged, or scale the picture down",
        )
    try:
        picture: np.ndarray | None = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return picture


def single_channel(pixels: np.ndarray) -> np.ndarray:
    """Takes grey pictures that come as colour (many thermal cameras, most JPEG encoders) back to one channel.

    Args:
        pixels: ``(H, W)`` of any type, or ``(H, W, 3)``.

    Returns:
        ``(H, W)`` of the same type.

    Raises:
        InvalidInputError: The channels differ: a real colour or false-colour picture (reason ``encoding``).
    """
    if pixels.ndim == 2:
        return pixels
    with np.errstate(invalid="ignore"):  # the infinities of a damaged floating-point picture
        spread = float(np.subtract(pixels.max(axis=2), pixels.min(axis=2), dtype=np.float64).max())
    if not spread <= _GREY_TOLERANCE:  # NaN is not grey, either
        raise InvalidInputError(
            "the picture is in colour",
            reason="encoding",
            got=f"3 channels that differ by up to {spread:g}",
            expected="one channel, or three equal ones",
            do="switch off the camera's false colours, or publish its raw stream (mono8, mono16, 16UC1, 32FC1)",
        )
    return np.ascontiguousarray(pixels[:, :, 1])


def array_to_image_fields(array: np.ndarray, encoding: str) -> dict[str, Any]:
    """Describe an array as the fields of ``sensor_msgs/Image`` (all but the header).

    Args:
        array: ``(H, W)`` or ``(H, W, C)`` in the type and channel order of ``encoding``.
        encoding: One of :data:`ENCODINGS`.

    Returns:
        ``height, width, encoding, is_bigendian, step, data`` with ``data`` as bytes and no row padding
        (``step == width * bytes per pixel``).

    Raises:
        InvalidInputError: The array does not fit the encoding (reason ``encoding``).
    """
    code, channels = ENCODINGS.get(encoding, ("", 0))
    shape_fits = array.shape[2:] == ((channels,) if channels > 1 else ()) and array.ndim in (2, 3)
    if not code or not shape_fits or array.dtype.newbyteorder("=") != np.dtype(code):
        raise InvalidInputError(
            f"the array does not fit the image encoding {encoding!r}",
            reason="encoding",
            got=f"{array.dtype} of shape {array.shape}",
            expected=f"{np.dtype(code)} with {channels} channel(s)" if code else ", ".join(ENCODINGS),
        )
    height, width = array.shape[:2]
    return {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": int(sys.byteorder == "big"),
        "step": width * channels * array.dtype.itemsize,
        "data": array.astype(array.dtype.newbyteorder("="), copy=False).tobytes(),
    }
