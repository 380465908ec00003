"""What the node says about itself on ``/diagnostics``, and the warnings when its results cannot be relied on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from madm_ros.diagnostics import ERROR, OK, WARN, Report, diagnostic_array, frame_values, text_values, timing_values
from madm_ros.input_monitor import silence_problem
from madm_ros.publishers import DIAGNOSTICS_TOPIC
from madm_ros.recent_frames import FrameFacts
from madm_ros.watchdog import PacketLoss, Watchdog, judge_frames

if TYPE_CHECKING:
    from madm_ros.segmentation_node import SegmentationNode
    from madm_ros.stream import Stream


class Health:
    """Publishes four statuses: ``<node>: model``, ``<node>: input``, ``<node>: output`` and ``<node>: timing``.

    They are published in every lifecycle state. What the checks of the watchdog find raises the level of its status.
    Each is judged by itself: one that fails is an ERROR with the reason, and the other three are told as ever.

    Args:
        node: Whose health it is.
    """

    def __init__(self, node: SegmentationNode) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC.name, DIAGNOSTICS_TOPIC.qos)
        self._rejected_before = 0
        self._callback_errors_before = 0
        self._watchdog = Watchdog(node.warn, lambda text: node.get_logger().info(text))
        self._packet_loss = PacketLoss()
        self._findings: dict[str, str] = {}
        self._recent: FrameFacts | None = None
        self.latest: Sequence[DiagnosticStatus] = ()
        """The statuses published last."""
        self.published_s = time.monotonic()
        """When that was, on the monotonic clock."""

    def publish(self) -> None:
        """Judge the node's state and publish it."""
        name, hardware_id = self._node.get_name(), self._node.get_fully_qualified_name()
        try:
            self._look()
        except Exception as error:
            self._findings = {}
            self._node.callback_errors.note("the watchdog", error)
        statuses: list[DiagnosticStatus] = [
            self._judged("model", self._model).status(f"{name}: model", hardware_id, fine=self._node.state_label),
            self._judged("input", self._input).status(f"{name}: input", hardware_id),
            self._judged("output", self._output).status(f"{name}: output", hardware_id),
            self._judged("timing", self._timing).status(f"{name}: timing", hardware_id),
        ]
        self._publisher.publish(diagnostic_array(self._node.get_clock().now().to_msg(), statuses))
        self.latest, self.published_s = statuses, time.monotonic()

    def _judged(self, kind: str, judge: Callable[[], Report]) -> Report:
        """What ``judge`` says, or, where it fails, that: silence would look like a node that has died."""
        try:
            return judge()
        except Exception as error:
            self._node.callback_errors.note(f"the status {kind}", error)
            failed = Report()
            failed.problem(ERROR, self._node.callback_errors.latest)
            return failed

    def _look(self) -> None:
        stream = self._node.stream
        self._recent = stream.pipeline.recent.usual() if stream is not None else None
        if stream is None or not self._node.enabled:
            self._findings = {}
            self._watchdog.forget()
            return
        self._findings = self._judge(stream)
        self._watchdog.note(self._findings, self._node.values.warning_period_s)

    def _judge(self, stream: Stream) -> dict[str, str]:
        values, found = self._node.values, {}
        recent, model = self._recent, self._node.model
        if recent is not None and model is not None:
            found = judge_frames(recent, values, model.segmenter.label_set, model.segmenter.input_statistics)
        busy_s = stream.worker.busy_s
        if 0 < values.max_inference_s < busy_s:
            found["slow_inference"] = (
                f"one frame has been at work for {busy_s:.1f} s; expected {values.max_inference_s:g} s at most"
            )
        packets = stream.input.packets
        if packets is not None:
            share = self._packet_loss.share(*packets)
            if values.max_lost_share < share:
                found["lost_packets"] = (
                    f"{share:.1%} of the event packets on {stream.input.topic} are lost; expected "
                    f"{values.max_lost_share:.1%} at most: raise event_queue_depth, or set input_reliability: reliable"
                )
        silence_s = time.monotonic() - stream.input.last_message_s
        if silence_s > values.input_timeout_s:
            found["stale_input"] = silence_problem(self._node, stream.input, silence_s)
        return found

    def _add(self, report: Report, *checks: str) -> None:
        for check in checks:
            if check in self._findings:
                errors = self._node.values.error_on.split()
                report.problem(ERROR if check in errors else WARN, self._findings[check])

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
                    "knows_training_input": segmenter.input_statistics is not None,
                }
            )
        report.values["worker_restarts"] = str(node.worker_restarts)
        report.values["callback_errors"] = str(node.callback_errors.count)
        new_errors = node.callback_errors.count - self._callback_errors_before
        if new_errors:
            report.problem(
                WARN, f"{new_errors} internal error(s), the last one: {node.callback_errors.latest}; see the log"
            )
        self._callback_errors_before = node.callback_errors.count
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
        self._add(report, "stale_input", "lost_packets", "clock_skew", "unusual_input")
        return report

    def _output(self) -> Report:
        recent, model, report = self._recent, self._node.model, Report()
        if recent is not None and model is not None and recent.top_class is not None:
            report.values = text_values(
                {
                    "mean_confidence": recent.confidence,
                    "top_class": model.segmenter.label_set.name_of(recent.top_class),
                    "top_class_share": recent.top_share,
                }
            )
        self._add(report, "low_confidence", "class_collapse")
        return report

    def _timing(self) -> Report:
        report = Report(OK, [], timing_values(self._node.statistics))
        self._add(report, "slow_inference")
        return report
