"""What runs while the node is active: an input, a worker and the pipeline between them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from madm_core.modalities import EventModality
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.inputs import Frame, ImageInput, SensorInput
from madm_ros.node_parameters import NodeParameters
from madm_ros.pipeline import Model, Pipeline
from madm_ros.publishers import ResultPublishers
from madm_ros.qos import input_qos
from madm_ros.throttled_log import ThrottledLog
from madm_ros.worker import FrameWorker


class Stream:
    """Frames of one sensor through one model.

    The model's modality decides what is subscribed to: ``events`` for an event model, ``image`` for all others.

    Args:
        node: Owner of the subscription.
        model: What segments.
        publishers: Take the results.
        statistics: Counts every frame.
        parameters: Returns the parameters' current values; QoS, queue and message types are read once, here.
        warn: Takes (kind, text) of a warning.

    Raises:
        MissingDependencyError: The message type's package is not installed.
        ConfigError: PointCloud2 events without ``event_width`` and ``event_height``.
    """

    def __init__(
        self,
        node: Node,
        model: Model,
        publishers: ResultPublishers,
        statistics: FrameStatistics,
        *,
        parameters: Callable[[], NodeParameters],
        warn: ThrottledLog,
    ) -> None:
        self._statistics = statistics
        self._warn = warn
        self._context_ok = node.context.ok
        values = parameters()
        every = values.queue_policy == "every"
        common: dict[str, Any] = {
            "offer": self._offer,
            "statistics": statistics,
            "warn": warn,
            "time_jump_s": lambda: parameters().time_jump_s,
        }
        self.input: SensorInput
        if isinstance(model.modality, EventModality):
            # Its kernels need numba, whose import takes a second that other modalities need not wait for.
            from madm_ros.event_input import EventInput

            qos = input_qos(values.input_reliability, values.event_queue_depth)
            self.input = EventInput(
                node,
                "events",
                values.event_message_type,
                qos,
                modality=model.modality,
                point_cloud_size=(values.event_height, values.event_width),
                hot_pixel_seconds=values.event_hot_pixel_s,
                **common,
            )
        else:
            qos = input_qos(values.input_reliability, values.queue_limit if every else 1)
            self.input = ImageInput(node, "image", values.image_message_type, qos, **common)
        self.pipeline = Pipeline(
            model,
            self.input,
            publishers,
            statistics,
            parameters=parameters,
            warn=warn,
            now_ns=lambda: node.get_clock().now().nanoseconds,
        )
        self.worker: FrameWorker[Frame] = FrameWorker(
            self.pipeline.handle, self._on_dropped, self._on_failed, limit=values.queue_limit if every else 1
        )

    def start(self, enabled: bool) -> None:
        """Start the worker, and receive if ``enabled``."""
        self.worker.start()
        self.enable(enabled)

    def enable(self, enabled: bool) -> None:
        """Receive or pause. A paused stream is not subscribed and costs nothing."""
        if enabled:
            self.input.subscribe()
        else:
            self.input.unsubscribe()

    def stop(self) -> bool:
        """Stop receiving and finish the frame in work. Returns whether the worker ended."""
        self.input.unsubscribe()
        ended = self.worker.stop()
        if not ended:
            self.pipeline.cancel()
        return ended

    def tick(self) -> None:
        """Regular housekeeping, in the spinning thread."""
        if self.worker.ensure_alive():
            self._warn("worker_lost", "the worker thread was lost and has been started again")
        if self.input.subscribed:
            self.input.tick()

    def _offer(self, frame: Frame) -> None:
        self.worker.offer(frame)

    def _on_dropped(self, frame: Frame, reason: str) -> None:
        self._statistics.dropped(reason)

    def _on_failed(self, frame: Frame, error: BaseException) -> None:
        if not self._context_ok():
            self._statistics.dropped("stopped")  # the process is ending: nothing can be published any more
            return
        problem = f"{type(error).__name__}: {error}"
        self._statistics.rejected("internal", problem)
        trace = "".join(traceback.format_exception(error))
        self._warn("internal", f"a frame made the worker fail ({problem}); it goes on with the next one\n{trace}")
