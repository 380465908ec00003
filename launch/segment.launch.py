"""The segmentation node for one camera.

ros2 launch madm_ros segment.launch.py model:=DIR input:=/camera/depth/image_raw
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

CONFIG = PathJoinSubstitution([FindPackageShare("madm_ros"), "config"])
ARGUMENTS = {
    "model": ("", "Model directory or hub id; overrides the one in params_file."),
    "input": ("", "Sensor topic; the model knows whether it is images or events. Empty: image or events as they are."),
    "params_file": ("", "ROS parameter file, see config/segment_*.yaml."),
    "point_cloud_size": ("", "HEIGHTxWIDTH of an event camera whose events come as PointCloud2; empty: another type."),
    "namespace": ("", "Namespace of the node and its topics."),
    "use_sim_time": ("false", "Use /clock."),
    "fastdds_profile": ([CONFIG, "/fastdds_shared_memory.xml"], "Fast DDS profile for large messages, or none."),
    "palette": ("", "label_set or color_blind: class colours in pictures; empty: as params_file says."),
    "preview_port": ("", "Port of 127.0.0.1 for a page that shows the node's work; empty: as params_file says."),
    "respawn": ("false", "Start the node again 2 s after its process has ended, unless launch itself is ending."),
    "rviz": ("false", "Start RViz with the node's pictures."),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, the transport for large messages, the node, and RViz if asked for."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=segment),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", [CONFIG, "/madm.rviz"]],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )


def segment(context) -> list:
    """The node, with only those settings that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    parameters: list = [given["params_file"]] if given["params_file"] else []
    parameters.append({"use_sim_time": given["use_sim_time"].lower() == "true"})
    if given["model"]:
        parameters.append({"model": given["model"]})
    if given["palette"]:
        parameters.append({"palette": given["palette"]})
    if given["preview_port"]:
        parameters.append({"preview_port": int(given["preview_port"])})
    if given["point_cloud_size"]:
        height, width = (int(side) for side in given["point_cloud_size"].split("x"))
        parameters.append(
            {"event_message_type": "sensor_msgs/msg/PointCloud2", "event_height": height, "event_width": width}
        )
    remappings = [("image", given["input"]), ("events", given["input"])] if given["input"] else []
    profile = given["fastdds_profile"]
    transport = (
        []
        if profile in ("", "none")
        else [
            # Jazzy reads the first, Kilted the second.
            SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile),
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),
        ]
    )
    node = Node(
        package="madm_ros",
        executable="segment",
        name="segmentation",
        namespace=given["namespace"],
        parameters=parameters,
        remappings=remappings,
        output="screen",
        respawn=given["respawn"].lower() == "true",
        respawn_delay=2.0,
    )
    return [*transport, node]
