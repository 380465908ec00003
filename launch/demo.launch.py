"""The synthetic street and the node on it.

ros2 launch madm_ros demo.launch.py modality:=depth model:=DIR rviz:=true
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir
from launch_ros.actions import Node

from launch import LaunchDescription

SIZE = (128, 256)
"""(height, width) of the street's pictures."""

ARGUMENTS = {
    "modality": ("depth", "depth, thermal or event."),
    "model": ("", "Model directory of that modality."),
    "seed": ("4242", "Which street."),
    "rate": ("4", "Pictures a second."),
    "preview_port": ("", "Port of 127.0.0.1 for a page that shows the node's work."),
    "rviz": ("false", "Start RViz with the node's pictures."),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, the street's camera, and segment.launch.py on its topic."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=demo)])


def demo(context) -> list:
    """The camera and the node; point clouds for events, which need no package beyond the common ones."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    height, width = SIZE
    street = Node(
        package="madm_ros",
        executable="street_world",
        arguments=[
            *("--modality", given["modality"], "--seed", given["seed"], "--rate", given["rate"]),
            *("--size", f"{height}x{width}", "--events-as", "point_cloud2"),
        ],
        output="screen",
    )
    is_event = given["modality"] == "event"
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), "/segment.launch.py"]),
        launch_arguments={
            "model": given["model"],
            "input": "/street/events" if is_event else f"/street/{given['modality']}/image_raw",
            "point_cloud_size": f"{height}x{width}" if is_event else "",
            "preview_port": given["preview_port"],
            "rviz": given["rviz"],
        }.items(),
    )
    return [street, node]
