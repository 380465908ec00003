"""ROS 2, its middleware, message packages, and the topics that are there now."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from madm_ros import shared_memory
from madm_ros.doctor.findings import Finding
from madm_ros.node_parameters import COMPRESSED_IMAGE, DVS_EVENT_ARRAY, EVENT_PACKET, IMAGE, PROPHESEE_EVENT_ARRAY

if TYPE_CHECKING:
    from rclpy.node import Node

_OPTIONAL = {
    "event_camera_msgs": "EventPacket, what current event camera drivers publish",
    "event_camera_py": "event encodings beyond evt3, evt2, mono and libcaer",
    "dvs_msgs": "EventArray of the older DVS drivers",
    "prophesee_event_msgs": "EventArray of the older Prophesee drivers",
    "vision_msgs": "the topic label_info (label_names is there without it)",
    "cv_bridge": "Bayer, YUV and other rare image encodings",
    "launch_ros": "ros2 launch",
}
_INPUT_TYPES = (IMAGE, COMPRESSED_IMAGE, EVENT_PACKET, DVS_EVENT_ARRAY, PROPHESEE_EVENT_ARRAY)
"""What cameras publish; not point clouds, which are mostly a lidar's."""
_ONE_720P_DEPTH_FRAME = 1280 * 720 * 2


def check_ros() -> list[Finding]:
    """rclpy, the distribution, the domain, and message packages."""
    try:
        import rclpy  # noqa: F401
    except ImportError as error:  # it is not there, or it is there for another Python
        return [
            Finding(
                "rclpy",
                "error",
                f"cannot be imported ({error}): the node, replay_bag and evaluate_bag --live need it (the other "
                "commands do not)",
                "source /opt/ros/<distribution>/setup.bash, or use the environment that `make setup` builds",
            )
        ]
    distribution = os.environ.get("ROS_DISTRO")
    domain, discovery = os.environ.get("ROS_DOMAIN_ID", "0"), os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    findings = [
        Finding("distribution", "ok", distribution)
        if distribution
        else Finding("distribution", "note", "ROS_DISTRO is not set: ROS comes from Python wheels, not from apt"),
        Finding("domain", "ok", f"ROS_DOMAIN_ID {domain}, discovery range {discovery}: only such nodes are seen"),
    ]
    apt = f"apt install ros-{distribution or 'jazzy'}-"
    for package, purpose in _OPTIONAL.items():
        if importlib.util.find_spec(package) is not None:
            findings.append(Finding(package, "ok", "installed"))
        else:
            findings.append(
                Finding(package, "note", f"not installed; it is for {purpose}", apt + package.replace("_", "-"))
            )
    return findings


def check_middleware() -> list[Finding]:
    """Whether large images get through: the Fast DDS profile and the shared memory it wants."""
    from rclpy.utilities import get_rmw_implementation_identifier

    name = get_rmw_implementation_identifier()
    if name != "rmw_fastrtps_cpp":
        text = f"{name}: only rmw_fastrtps_cpp is tested; large messages may need settings of its own"
        return [Finding("middleware", "note", text)]
    findings = [Finding("middleware", "ok", name)]
    profiles = [Path(os.environ[variable]) for variable in shared_memory.PROFILE_VARIABLES if os.environ.get(variable)]
    if not profiles:
        findings.append(
            Finding(
                "Fast DDS profile",
                "warning",
                "none is set: most images above 512 KB are lost under best effort",
                "export FASTRTPS_DEFAULT_PROFILES_FILE=.../config/fastdds_shared_memory.xml for the camera driver too "
                "(docs/installation.md); the launch files do it for the nodes they start",
            )
        )
    for profile in profiles:
        if profile.is_file():
            findings.append(Finding("Fast DDS profile", "ok", str(profile)))
        else:
            do = "correct the environment variable: Fast DDS ignores it without a word"
            findings.append(Finding("Fast DDS profile", "error", f"{profile} does not exist", do))
    free = shared_memory.free_mib()
    if free is not None:
        enough = free > 4 * shared_memory.NEEDED_MIB  # the camera, the node and two that watch
        do = "" if enough else shared_memory.REMEDY
        findings.append(Finding("/dev/shm", "ok" if enough else "warning", f"{free:.0f} MiB free", do))
    received = Path("/proc/sys/net/core/rmem_max")
    if received.is_file():
        size = int(received.read_text())
        enough = size >= _ONE_720P_DEPTH_FRAME
        findings.append(
            Finding(
                "net.core.rmem_max",
                "ok" if enough else "note",
                f"{size} bytes" + ("" if enough else ": a 720p depth image from another machine does not fit"),
                "" if enough else "for cameras on other machines: sysctl -w net.core.rmem_max=16777216",
            )
        )
    return findings


def check_topics(node: Node, seconds: float) -> list[Finding]:
    """Topics that the node could subscribe to, with their publishers, and whether segmentation nodes run.

    Args:
        node: Any node; it needs not to be spun.
        seconds: How long discovery may take.
    """
    from madm_ros.qos import describe_publishers

    time.sleep(seconds)
    findings = []
    cameras = 0
    for topic, types in sorted(node.get_topic_names_and_types()):
        kind = next((kind for kind in types if kind in _INPUT_TYPES), None)
        publishers = node.get_publishers_info_by_topic(topic)
        if len(types) > 1:
            text = f"several types on one topic: {', '.join(types)}"
            findings.append(Finding(topic, "error", text, "give one of the publishers another topic name"))
        elif kind and publishers:
            listeners = node.count_subscribers(topic)
            text = f"{kind}, {describe_publishers(publishers)}, {listeners} subscriber(s)"
            cameras += 1
            findings.append(Finding(topic, "ok", text))
    own = node.get_name()
    names = [f"{space.rstrip('/')}/{name}" for name, space in node.get_node_names_and_namespaces() if name != own]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            text = f"{names.count(name)} nodes have this name: services and parameters reach either of them"
            findings.append(Finding(name, "error", text, "start one of them with another name or namespace"))
        elif name.endswith("/segmentation"):
            findings.append(Finding(name, "ok", "a segmentation node runs"))
    if not cameras:
        text = "no camera topic is published where this process can see it"
        findings.append(Finding("topics", "note", text, "start the camera; compare ROS_DOMAIN_ID and discovery range"))
    return findings
