"""What the node says about itself on ``/diagnostics``, and the warning about an input that has gone silent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from madm_ros.diagnostics import ERROR, OK, WARN, Report, diagnostic_array, frame_values, text_values, timing_values
from madm_ros.input_monitor import silence_problem
from madm_ros.publishers import DIAGNOSTICS_TOPIC

if TYPE_CHECKING:
    from madm_ros.segmentation_node import SegmentationNode


class Health:
    """Publishes three statuses: ``<node>: model``, ``<node>: input`` and ``<node>: timing``.

    They are published in every lifecycle state.

    Args:
        node: Whose health it is.
    """

    def __init__(self, node: SegmentationNode) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC.name, DIAGNOSTICS_TOPIC.qos)
        self._rejected_before = 0

    def publish(self) -> None:
        """Judge the node's state and publish it."""
        name, hardware_id = self._node.get_name(), self._node.get_fully_qualified_name()
        statuses: list[DiagnosticStatus] = [
            self._model().status(f"{name}: model", hardware_id, fine=self._node.state_label),
            self._input().status(f"{name}: input", hardware_id),
            Report(OK, [], timing_values(self._node.statistics)).status(f"{name}: timing", hardware_id),
        ]
        self._publisher.publish(diagnostic_array(self._node.get_clock().now().to_msg(), statuses))

    def _model(self) -> Report:
        node, report = self._node, Report()
        report.values = text_values(
            {
                "state": node.state_label,
                "enabled": node.enabled,
                "reloading": node.reloading,
                "model": node.values.model,
            }
        )
        if node.model is not None:
            segmenter = node.model.segmenter
            report.values |= text_values(
                {
                    "modality": node.model.modality.name,
                    "label_set": segmenter.label_set.name,
                    "device": segmenter.device,
                    "precision": segmenter.precision,
                    "description": segmenter.description,
                    "load_s": node.model.load_s,
                }
            )
        report.values["worker_restarts"] = str(node.worker_restarts)
        report.values["callback_errors"] = str(node.callback_errors)
        if node.model is not None and node.model.segmenter.problem:
            report.problem(WARN, node.model.segmenter.problem)
        if node.problem:
            report.problem(ERROR, node.problem)
        elif not node.enabled:
            report.problem(OK, "disabled by ~/set_enabled")
        return report

    def _input(self) -> Report:
        node, report = self._node, Report()
        report.values = frame_values(node.statistics)
        rejected = int(report.values["frames_rejected"]) + int(report.values["messages_rejected"])
        if rejected > self._rejected_before:
            report.problem(WARN, f"{rejected - self._rejected_before} rejected: {node.statistics.last_problem}")
        self._rejected_before = rejected
        if node.stream is None:
            return report
        sensor_input, seen = node.stream.input, node.stream.pipeline.input_values
        report.values |= text_values(
            {
                "topic": sensor_input.topic,
                "type": sensor_input.type_name,
                "publishers": node.count_publishers(sensor_input.topic),
                "lost_in_transport": sensor_input.lost_in_transport,
                "incompatible_publishers": sensor_input.incompatible_publishers,
                "time_jumps": sensor_input.time_jumps,
                **sensor_input.details(),
            }
        )
        report.values |= text_values({f"input_{key}": value for key, value in seen.items()})
        if seen.get("valid_share") == 0.0:
            report.problem(WARN, "the last frame holds no valid measurement: all labels are 255")
        silence_s = time.monotonic() - sensor_input.last_message_s
        if sensor_input.subscribed and silence_s > node.values.input_timeout_s:
            problem = silence_problem(node, sensor_input, silence_s)
            report.problem(WARN, problem)
            node.warn("silence", problem)
        return report
