import importlib.util
import sys
from types import SimpleNamespace

import pytest
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from madm_ros.doctor import ros


@pytest.fixture
def middleware(monkeypatch):
    """Findings about the middleware under the given Fast DDS environment."""

    def check(**environment: str) -> dict[str, ros.Finding]:
        for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
            monkeypatch.delenv(variable, raising=False)
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        return {finding.subject: finding for finding in ros.check_middleware()}

    return check


def test_a_missing_profile_costs_images(middleware, tmp_path):
    assert middleware()["Fast DDS profile"].level == "warning"
    profile = tmp_path / "profile.xml"
    found = middleware(FASTRTPS_DEFAULT_PROFILES_FILE=str(profile))["Fast DDS profile"]
    assert found.level == "error" and "does not exist" in found.text
    profile.write_text("<profiles/>")
    assert middleware(FASTDDS_DEFAULT_PROFILES_FILE=str(profile))["Fast DDS profile"].level == "ok"


def test_full_shared_memory_is_warned_about(middleware, monkeypatch):
    monkeypatch.setattr(ros.shared_memory, "free_mib", lambda: 1.0)
    found = middleware()["/dev/shm"]
    assert found.level == "warning" and found.text == "1 MiB free"


def test_another_middleware_is_said_to_be_untested(middleware, monkeypatch):
    import rclpy.utilities

    monkeypatch.setattr(rclpy.utilities, "get_rmw_implementation_identifier", lambda: "rmw_zenoh_cpp")
    (found,) = middleware().values()
    assert found.level == "note" and "rmw_zenoh_cpp" in found.text


def test_missing_packages_name_what_they_are_for_and_their_apt_package(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "rclpy" or None)
    found = {finding.subject: finding for finding in ros.check_ros()}
    assert found["vision_msgs"].do == "apt install ros-kilted-vision-msgs"
    assert "EventPacket" in found["event_camera_msgs"].text


def test_an_rclpy_that_is_not_there_or_for_another_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    (found,) = ros.check_ros()
    assert found.subject == "rclpy" and found.level == "error" and "/opt/ros" in found.do


def test_no_topic_in_sight_is_a_note():
    nobody = SimpleNamespace(
        get_topic_names_and_types=list, get_node_names_and_namespaces=list, get_name=lambda: "madm_ros_doctor"
    )
    (found,) = ros.check_topics(nobody, 0.0)
    assert found.subject == "topics" and found.level == "note" and "ROS_DOMAIN_ID" in found.do


def test_a_node_that_runs_without_a_camera():
    node = SimpleNamespace(
        get_topic_names_and_types=list,
        get_node_names_and_namespaces=lambda: [("segmentation", "/robot")],
        get_name=lambda: "madm_ros_doctor",
    )
    runs, camera = ros.check_topics(node, 0.0)
    assert runs.subject == "/robot/segmentation" and runs.level == "ok"
    assert camera.subject == "topics" and camera.level == "note"


def test_topics_nodes_and_clashes(world):
    node = world.node()
    node.create_publisher(Image, "/camera/depth", QoSProfile(depth=1))
    node.create_publisher(Image, "/clash", QoSProfile(depth=1))
    elsewhere = Context()  # a process may publish only one type on a topic
    elsewhere.init()
    other = Node("other", context=elsewhere)
    other.create_publisher(CompressedImage, "/clash", QoSProfile(depth=1))
    found = {finding.subject: finding for finding in ros.check_topics(node, 1.0)}
    other.destroy_node()
    elsewhere.try_shutdown()
    assert found["/camera/depth"].level == "ok" and "sensor_msgs/msg/Image" in found["/camera/depth"].text
    assert "0 subscriber(s)" in found["/camera/depth"].text
    assert found["/clash"].level == "error" and "CompressedImage" in found["/clash"].text
