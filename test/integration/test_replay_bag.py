"""``replay_bag`` as a process of its own; what it plays is received over DDS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter, offered_qos
from madm_core.data.message_types import header_stamp_ns, stamp_fields
from madm_core.messages.event_messages import parse_point_cloud2

rclpy = pytest.importorskip("rclpy", reason="replay_bag publishes with rclpy")

from madm_ros.commands import replay_bag  # noqa: E402 - imports rclpy

START = 1_700_000_000_000_000_000
STEP = 20_000_000


@pytest.fixture
def node(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    context = rclpy.Context()
    rclpy.init(context=context)
    listener = rclpy.create_node("listener", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    listener.run_until = lambda done, seconds=90.0: _run_until(executor, done, seconds)
    yield listener
    executor.shutdown()
    listener.destroy_node()
    rclpy.shutdown(context=context)


def _run_until(executor, done, seconds):
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)


def replay(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "madm_ros.commands.replay_bag", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def image(index: int) -> dict:
    return {
        "header": {"stamp": stamp_fields(START + index * STEP - 7), "frame_id": "thermal"},
        "height": 48,
        "width": 64,
        "encoding": "mono16",
        "step": 128,
        "data": bytes([index % 256]) * (48 * 128),
    }


@pytest.fixture
def bag(tmp_path) -> Path:
    with BagWriter(tmp_path / "bag") as writer:
        latched = offered_qos(reliable=True, depth=1, transient_local=True)
        writer.add_topic("/site", "std_msgs/msg/String", latched)
        writer.add("/site", "std_msgs/msg/String", {"data": "north gate"}, START)
        for index in range(25):
            writer.add("/thermal/image_raw", "sensor_msgs/msg/Image", image(index), START + index * STEP)
    return tmp_path / "bag"


def test_messages_arrive_byte_for_byte_in_order_with_their_stamps(node, bag):
    from sensor_msgs.msg import Image

    received: list[bytes] = []
    node.create_subscription(Image, "/thermal/image_raw", received.append, 50, raw=True)
    process = replay(bag, "--wait-for-subscribers", "--topics", "/thermal/image_raw")
    node.run_until(lambda: len(received) == 25)
    _, errors = process.communicate(timeout=60)
    with BagReader(bag) as reader:
        recorded = [message.data for message in reader.messages(["/thermal/image_raw"])]
    assert received == recorded
    assert [header_stamp_ns(data) for data in received] == [START + index * STEP - 7 for index in range(25)]
    assert process.returncode == 0 and "published 25 messages" in errors


def test_latched_topics_stay_latched_and_the_clock_follows_the_bag(node, bag):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rosgraph_msgs.msg import Clock
    from std_msgs.msg import String

    site: list[str] = []
    clock: list[int] = []
    profile = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(String, "/renamed", lambda message: site.append(message.data), profile)
    node.create_subscription(
        Clock, "/clock", lambda message: clock.append(message.clock.sec * 10**9 + message.clock.nanosec), 100
    )
    process = replay(bag, "--clock", 50, "--loop", "--rate", 0.5, "--ros-args", "-r", "/site:=/renamed")
    node.run_until(lambda: site and len(clock) > 100)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert site[0] == "north gate"
    assert all(START <= stamp <= START + 25 * STEP for stamp in clock)
    assert any(later < earlier for earlier, later in pairwise(clock)), "the loop starts again"


def test_topic_of_a_missing_package_is_named_and_skipped(node, tmp_path):
    with BagWriter(tmp_path / "events") as writer:
        fields = {"encoding": "mono", "width": 64, "height": 48}
        writer.add("/events", "dvs_msgs/msg/EventArray", {"width": 64, "height": 48}, START)
        writer.add("/packets", "event_camera_msgs/msg/EventPacket", fields, START)
    process = replay(tmp_path / "events", "--events-as", "recorded", "--topics", "/events")
    _, errors = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("dvs_msgs is installed here")
    assert process.returncode == 2
    assert "apt install ros-jazzy-dvs-msgs" in errors and "nothing can be played" in errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rate", "0"], "--rate cannot be used"),
        (["--start", "99"], "nothing to play"),
        (["--topics", "/site", "--start", "0.1", "--loop"], "no message of these topics in this part"),
        (["--topics", "/thermal/image"], "Did you mean '/thermal/image_raw'"),
        (["--start-paused"], "needs a terminal"),
        (["--wait-for-subscribers", "0.2"], "no subscriber came"),
        (["--ros-args", "-p", "nonsense"], "the ROS arguments cannot be used"),
        (["--ros-args", "-p", "use_sim_time:=banana"], "ROS cannot make the node"),
    ],
)
def test_unusable_options_are_explained(bag, arguments, complaint, capsys, monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    assert replay_bag.main([str(bag), *arguments]) == 2
    assert not rclpy.ok()
    assert complaint in capsys.readouterr().err


def test_real_events_arrive_as_point_clouds_with_the_recorded_stamps(node, shared_data):
    from sensor_msgs.msg import PointCloud2

    recording = shared_data / "events_evt3_640x480"
    stamps: list[int] = []
    counts: list[int] = []

    def take(data: bytes) -> None:
        events, header = parse_point_cloud2(data)
        stamps.append(header.stamp_ns)
        counts.append(len(events))

    node.create_subscription(PointCloud2, "/event_camera/events", take, 600, raw=True)
    process = replay(recording, "--events-as", "point_cloud2", "--wait-for-subscribers")
    node.run_until(lambda: len(stamps) == 517)
    process.communicate(timeout=60)
    with BagReader(recording) as reader:
        assert stamps == [header_stamp_ns(message.data) for message in reader.messages()]
    assert sum(counts) == 218291 + 125183


def test_space_bar_of_a_terminal_starts_a_paused_replay(node, bag):
    import pty

    from sensor_msgs.msg import Image

    received: list[bytes] = []
    node.create_subscription(Image, "/thermal/image_raw", received.append, 50, raw=True)
    keyboard, terminal = pty.openpty()
    arguments = ["--topics", "/thermal/image_raw", "--wait-for-subscribers", "--start-paused", "--clock"]
    command = [sys.executable, "-m", "madm_ros.commands.replay_bag", str(bag), *arguments]
    clock: list[object] = []
    from rosgraph_msgs.msg import Clock

    node.create_subscription(Clock, "/clock", clock.append, 10)
    process = subprocess.Popen(command, stdin=terminal, stderr=subprocess.PIPE, text=True)
    try:
        node.run_until(lambda: len(clock) > 20)
        assert clock and not received, "the clock ticks, but nothing is played during a pause"
        os.write(keyboard, b" ")
        node.run_until(lambda: len(received) == 25)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(keyboard)
        os.close(terminal)
    assert len(received) == 25 and "published 25 messages" in errors


def test_a_loop_of_one_message_is_no_flood_and_hears_the_space_bar(node, bag):
    import pty

    from std_msgs.msg import String

    received: list[str] = []
    node.create_subscription(String, "/site", received.append, 1000)
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "madm_ros.commands.replay_bag", str(bag), "--topics", "/site", "--loop"]
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=terminal, stderr=subprocess.PIPE, text=True)
    try:
        node.run_until(lambda: len(received) > 5)
        os.write(keyboard, b" ")
        node.run_until(lambda: False, 1.0)
        before = len(received)
        node.run_until(lambda: False, 1.0)
        assert len(received) == before > 5, "paused"
        process.terminate()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(keyboard)
        os.close(terminal)
    published = int(re.findall(r"published (\d+) messages", errors)[0])
    assert published <= 10 * (time.monotonic() - started) + 1
