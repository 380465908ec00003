"""ROS image messages: the fast way out, every way in, and cv_bridge only for what we leave out."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from madm_core.errors import InvalidInputError
from madm_core.messages.image_arrays import ENCODINGS
from madm_ros import image_conversion
from madm_ros.image_conversion import array_to_message, message_to_array


def pixels_of(encoding: str, height: int = 7, width: int = 5) -> np.ndarray:
    code, channels = ENCODINGS[encoding]
    shape = (height, width, channels)[: 2 if channels == 1 else 3]
    return (np.random.default_rng(1).random(shape) * 200).astype(code)


@pytest.mark.parametrize("encoding", ["mono8", "mono16", "16UC1", "32FC1", "rgb8"])
def test_round_trip_through_serialisation(encoding):
    pixels = pixels_of(encoding)
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 12, 34
    message = deserialize_message(serialize_message(array_to_message(pixels, encoding, header)), Image)
    assert message.header == header
    assert message.step * message.height == len(message.data)
    np.testing.assert_array_equal(message_to_array(message), pixels)


def test_rows_are_dense_even_when_the_array_is_not():
    wide = np.arange(60, dtype=np.uint8).reshape(6, 10)
    message = array_to_message(wide[:, 2:7], "mono8", Header())
    assert (message.step, message.width) == (5, 5)
    np.testing.assert_array_equal(message_to_array(message), wide[:, 2:7])


def bayer_message() -> Image:
    return Image(height=2, width=2, encoding="bayer_rggb8", step=2, data=[1, 2, 3, 4])


@pytest.fixture
def fresh_bridge(monkeypatch):
    """Import cv_bridge anew in this test: a module of our own, or None for "not installed"."""

    def install(module: ModuleType | None) -> None:
        image_conversion._cv_bridge.cache_clear()
        monkeypatch.setitem(sys.modules, "cv_bridge", module)

    yield install
    image_conversion._cv_bridge.cache_clear()


@pytest.mark.parametrize(
    ("distribution", "package"), [(None, "ros-jazzy-cv-bridge"), ("kilted", "ros-kilted-cv-bridge")]
)
def test_without_cv_bridge_the_apt_package_is_named(fresh_bridge, monkeypatch, distribution, package):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    if distribution is not None:
        monkeypatch.setenv("ROS_DISTRO", distribution)
    fresh_bridge(None)
    with pytest.raises(InvalidInputError, match=f"apt install {package}") as error:
        message_to_array(bayer_message())
    assert error.value.reason == "encoding"


def bridge_module(decoded: np.ndarray, *, broken: bool = False, wanted: str = "rgb8") -> ModuleType:
    class CvBridge:
        def cv2_to_imgmsg(self, array, encoding):
            assert array.dtype == np.uint16 and array.max() > 255 and encoding == "16UC1"
            return array, encoding

        def imgmsg_to_cv2(self, message, encoding):
            if isinstance(message, tuple):
                assert encoding == "passthrough"
                return message[0] * (2 if broken else 1)
            assert encoding == wanted and message is not None
            return decoded

    module = ModuleType("cv_bridge")
    module.CvBridge = CvBridge
    return module


def test_cv_bridge_converts_what_we_do_not(fresh_bridge):
    decoded = np.ones((2, 2, 3), np.uint8)
    fresh_bridge(bridge_module(decoded))
    np.testing.assert_array_equal(message_to_array(bayer_message()), decoded)


def test_one_channel_that_only_cv_bridge_reads_keeps_its_type(fresh_bridge):
    decoded = np.full((2, 2), -5, np.int16)
    fresh_bridge(bridge_module(decoded, wanted="passthrough"))
    pixels = message_to_array(Image(height=2, width=2, encoding="16SC1", step=4, data=[0] * 8))
    assert pixels.dtype == np.int16 and (pixels == -5).all()


def test_a_message_that_cv_bridge_refuses_is_rejected_with_its_reason(fresh_bridge):
    module = bridge_module(np.zeros((2, 2, 3), np.uint8))
    fresh_bridge(module)
    message_to_array(bayer_message())
    module.CvBridge.imgmsg_to_cv2 = lambda self, message, encoding: 1 / 0
    with pytest.raises(InvalidInputError, match="cv_bridge cannot read the image.*bayer_rggb8.*division") as refused:
        message_to_array(bayer_message())
    assert refused.value.reason == "encoding"


def test_a_cv_bridge_for_another_numpy_is_no_cv_bridge(fresh_bridge):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise SystemError("initialization of cv_bridge_boost raised unreported exception")

    fresh_bridge(Broken("cv_bridge"))
    with pytest.raises(InvalidInputError, match="cannot be imported.*SystemError: initialization.*apt install"):
        message_to_array(bayer_message())


def test_a_message_without_encoding_needs_no_cv_bridge(fresh_bridge):
    fresh_bridge(bridge_module(np.zeros((2, 2, 3), np.uint8)))
    with pytest.raises(InvalidInputError, match="got ''"):
        message_to_array(Image(height=2, width=2, step=2, data=[1, 2, 3, 4]))


def test_a_cv_bridge_that_reads_wrongly_is_not_used(fresh_bridge):
    fresh_bridge(bridge_module(np.zeros((2, 2, 3), np.uint8), broken=True))
    with pytest.raises(InvalidInputError, match="does not work"):
        message_to_array(bayer_message())


def test_our_conversion_equals_the_real_cv_bridge():
    cv_bridge = pytest.importorskip("cv_bridge", reason="cv_bridge comes with an apt ROS 2 only")
    for encoding in ENCODINGS:
        pixels = pixels_of(encoding)
        message = array_to_message(pixels, encoding, Header())
        theirs = np.asarray(cv_bridge.CvBridge().imgmsg_to_cv2(message, "passthrough"))
        np.testing.assert_array_equal(theirs, pixels)
