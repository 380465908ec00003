"""A silent input explains itself: who publishes, with what type and QoS, and what to do."""

from __future__ import annotations

from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from madm_ros.input_monitor import silence_problem


def silence(world, receiver, publishers: int) -> str:
    world.spin_until(lambda: receiver.node.count_publishers("/robot/image") == publishers)
    return silence_problem(receiver.node, receiver.input, 5.04)


def test_silence_without_a_publisher_points_to_topics_of_the_type(world, image_receiver):
    receiver = image_receiver()
    receiver.input.subscribe()
    text = silence(world, receiver, 0)
    assert "no message on /robot/image for 5.0 s: got no publisher; expected sensor_msgs/msg/Image" in text
    assert "remap: image:=/its/topic" in text
    world.node("camera").create_publisher(Image, "/camera/depth/image_raw", 1)
    world.spin_until(lambda: receiver.node.count_publishers("/camera/depth/image_raw") == 1)
    assert "remap: image:=/camera/depth/image_raw" in silence(world, receiver, 0)


def test_silence_because_of_another_type_says_so(world, image_receiver):
    receiver = image_receiver()
    receiver.input.subscribe()
    # Of another participant, as in life: one participant cannot use a topic name with two types.
    elsewhere = Context()
    elsewhere.init()
    driver = Node("driver", context=elsewhere)
    driver.create_publisher(CompressedImage, "/robot/image", 1)
    world.spin_until(lambda: "/driver" in silence(world, receiver, 1))  # the endpoint is found before its node's name
    text = silence(world, receiver, 1)
    driver.destroy_node()
    elsewhere.shutdown()
    assert "/driver (sensor_msgs/msg/CompressedImage" in text
    assert "another type" in text and "image_message_type" in text


def test_silence_of_a_fitting_publisher_says_that_nothing_is_sent(world, image_receiver):
    receiver = image_receiver()
    receiver.input.subscribe()
    world.node("driver").create_publisher(Image, "/robot/image", 1)
    assert "connected but sends nothing" in silence(world, receiver, 1)


def test_silence_because_of_qos_names_the_parameter(world, image_receiver):
    receiver = image_receiver(reliability="reliable")
    receiver.input.subscribe()
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    world.node("poor_driver").create_publisher(Image, "/robot/image", best_effort)
    text = silence(world, receiver, 1)
    assert "QoS does not fit" in text
    assert "input_reliability" in text
