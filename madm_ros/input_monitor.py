"""Why nothing arrives: the question every robotics engineer asks first, answered by the node itself."""

from __future__ import annotations

from rclpy.node import Node

from madm_ros.inputs import SensorInput
from madm_ros.qos import describe, describe_publishers, incompatible_publishers

_TYPE_PARAMETERS = {"image": "image_message_type", "events": "event_message_type"}


def silence_problem(node: Node, sensor_input: SensorInput, silence_s: float) -> str:
    """Explain a silent input: who publishes the topic, with what type and QoS, and what to do.

    Args:
        node: Asked about the ROS graph.
        sensor_input: The silent input.
        silence_s: For how long nothing arrived, in seconds.

    Returns:
        One line: got, expected, do.
    """
    topic, type_name, qos = sensor_input.topic, sensor_input.type_name, sensor_input.qos
    publishers = node.get_publishers_info_by_topic(topic)
    fitting = [endpoint for endpoint in publishers if endpoint.topic_type == type_name]
    if not publishers:
        elsewhere = sorted(
            name for name, types in node.get_topic_names_and_types() if type_name in types and name != topic
            and "/segmentation/" not in name and node.count_publishers(name) > 0
        )  # fmt: skip
        do = "start the sensor's driver, or remap: "
        do += f"{sensor_input.local_name}:={elsewhere[0]}" if elsewhere else f"{sensor_input.local_name}:=/its/topic"
        if len(elsewhere) > 1:
            do += f" (also published with this type: {', '.join(elsewhere[1:6])})"
    elif not fitting:
        parameter = _TYPE_PARAMETERS[sensor_input.local_name]
        do = f"the topic has another type: set the parameter {parameter}, or remap {sensor_input.local_name}"
    elif len(incompatible_publishers(qos, fitting)) == len(fitting):
        do = "the QoS does not fit: set the parameter input_reliability to best_effort"
    else:
        do = "the sensor is connected but sends nothing, or its messages are lost on the way (docs/how_to/transport.md)"
    return (
        f"no message on {topic} for {silence_s:.1f} s: got {describe_publishers(publishers)}; "
        f"expected {type_name} ({describe(qos)}). {do[0].upper()}{do[1:]}"
    )
