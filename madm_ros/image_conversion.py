"""sensor_msgs images to arrays and back: our own fast conversions, and cv_bridge for the encodings they leave out."""

from __future__ import annotations

import array
import functools
import os
import sys
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from madm_core.errors import InvalidInputError, MissingDependencyError
from madm_core.messages.image_arrays import ENCODINGS, image_to_array


def message_to_array(message: Image) -> np.ndarray:
    """The pixels of an image message.

    Args:
        message: Any ``sensor_msgs/Image``.

    Returns:
        As :func:`madm_core.messages.image_arrays.image_to_array`; Bayer, YUV and other encodings are converted to
        ``(H, W, 3)`` RGB by cv_bridge.

    Raises:
        InvalidInputError: The message cannot be read.
    """
    if message.encoding in ENCODINGS or not message.encoding:
        return image_to_array(message)
    try:
        bridge = _cv_bridge()
    except MissingDependencyError as error:
        raise InvalidInputError(
            "the image's encoding cannot be read without cv_bridge",
            reason="encoding",
            got=repr(message.encoding[:40]),
            expected=", ".join(ENCODINGS),
            do=str(error),
        ) from error
    try:
        wanted = "passthrough" if message.encoding.endswith("C1") else "rgb8"
        return np.asarray(bridge.imgmsg_to_cv2(message, wanted))
    except Exception as error:  # cv_bridge raises its own, OpenCV's and Python's errors for bad messages
        raise InvalidInputError(
            "cv_bridge cannot read the image",
            reason="encoding",
            got=f"encoding {message.encoding[:40]!r}: {error}",
            expected=", ".join(ENCODINGS),
        ) from error


def array_to_message(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """An image message with dense rows (``step`` == width x bytes per pixel).

    Args:
        pixels: ``(H, W)`` or ``(H, W, C)`` in the type and channel order of ``encoding``.
        encoding: A key of :data:`madm_core.messages.image_arrays.ENCODINGS`.
        header: Put into the message as it is.
    """
    height, width = pixels.shape[:2]
    data = array.array("B")
    # Assigning an ndarray would go through a Python list (about 100 ms at 720p); array.array is taken over as it is,
    # with and without rclpy's field checks, and this is the only copy.
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).data.cast("B"))
    message = Image(
        header=header, height=height, width=width, encoding=encoding, is_bigendian=int(sys.byteorder == "big")
    )
    message.step = len(data) // height
    message.data = data
    return message


@functools.cache
def _cv_bridge() -> Any:
    """The one CvBridge, checked by a round trip: packages of that name exist that read 16UC1 wrongly."""
    package = f"ros-{os.environ.get('ROS_DISTRO', 'jazzy')}-cv-bridge"
    try:
        from cv_bridge import CvBridge
    except Exception as error:  # a cv_bridge built for another NumPy fails with more than ImportError
        raise MissingDependencyError(
            "cv_bridge cannot be imported", got=f"{type(error).__name__}: {error}", do=f"run: apt install {package}"
        ) from error
    bridge = CvBridge()
    sample = np.arange(6, dtype=np.uint16).reshape(2, 3) * 1000
    if not np.array_equal(bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(sample, "16UC1"), "passthrough"), sample):
        raise MissingDependencyError(
            "cv_bridge is installed but does not work",
            got="a 16UC1 round trip that changes pixels",
            do=f"run: apt install {package}",
        )
    return bridge
