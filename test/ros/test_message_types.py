import pytest
from sensor_msgs.msg import Image

from madm_core.errors import MissingDependencyError
from madm_ros.message_types import message_class


def test_installed_types_are_imported():
    assert message_class("sensor_msgs/msg/Image") is Image


def test_a_missing_package_is_named_with_its_apt_package():
    with pytest.raises(MissingDependencyError, match="apt install ros-.*-no-such-msgs, or build and source it"):
        message_class("no_such_msgs/msg/Thing")
    with pytest.raises(MissingDependencyError, match="or use another type"):
        message_class("no_such_msgs/msg/Thing", otherwise="use another type")


def test_a_missing_message_of_an_installed_package_is_named():
    with pytest.raises(MissingDependencyError, match="sensor_msgs/msg/Nothing"):
        message_class("sensor_msgs/msg/Nothing")
