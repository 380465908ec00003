"""The way of one frame through the worker: message -> array -> picture -> network -> labels -> messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from madm_core.errors import InvalidInputError, MadmError
from madm_core.labels import LabelSet
from madm_core.modalities import EncodedImage, Modality
from madm_core.modalities.input_statistics import SAMPLE_STRIDE, InputStatistics, picture_values
from madm_core.palettes import in_palette
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.inputs import Frame, SensorFrame, SensorInput
from madm_ros.node_parameters import NodeParameters
from madm_ros.publishers import ResultPublishers
from madm_ros.recent_frames import FrameFacts, RecentFrames, label_facts
from madm_ros.throttled_log import ThrottledLog

if TYPE_CHECKING:  # torch takes seconds to import: not before a model is wanted
    import torch

    from madm_core.segmenter import Prediction


class FrameSegmenter(Protocol):
    """What the node uses of a ``madm_core.segmenter.Segmenter``, which see."""

    @property
    def modality(self) -> Modality: ...
    @property
    def label_set(self) -> LabelSet: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def precision(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def problem(self) -> str: ...
    @property
    def input_statistics(self) -> InputStatistics | None: ...
    def warm_up(self) -> float: ...
    def segment(self, image: EncodedImage, /) -> Prediction: ...


@dataclass(frozen=True)
class Model:
    """What the node needs of a loaded model.

    Args:
        segmenter: The network.
        modality: Its modality, with the node's overrides.
        load_s: How long loading and warming up took, in seconds.
        palette: Name of the palette in which people see its classes.
    """

    segmenter: FrameSegmenter
    modality: Modality
    load_s: float
    palette: str = "label_set"

    @property
    def shown_label_set(self) -> LabelSet:
        """Its classes in the colours that people see."""
        return in_palette(self.segmenter.label_set, self.palette)


class Pipeline:
    """Handles frames, one at a time, in the worker's thread.

    Args:
        model: What to run.
        sensor_input: Decodes frames.
        publishers: Take the results.
        statistics: Where every frame's end is counted.
        parameters: Returns the parameters' current values.
        warn: Takes (kind, text) of a warning.
        now_ns: The node's (possibly simulated) time in nanoseconds, for the age of stamps.
    """

    def __init__(
        self,
        model: Model,
        sensor_input: SensorInput,
        publishers: ResultPublishers,
        statistics: FrameStatistics,
        *,
        parameters: Callable[[], NodeParameters],
        warn: ThrottledLog,
        now_ns: Callable[[], int],
    ) -> None:
        self._model = model
        self._input = sensor_input
        self._publishers = publishers
        self._statistics = statistics
        self._parameters = parameters
        self._warn = warn
        self._now_ns = now_ns
        self._epoch: int | None = None
        self._cancelled = False
        self.recent = RecentFrames()
        """What the published frames of the last seconds were like."""
        self.input_values: dict[str, object] = {}
        """Facts about the latest frame, for diagnostics; replaced as a whole, never changed."""

    def cancel(self) -> None:
        """Publish nothing any more, not even what a network that hangs may give back one day."""
        self._cancelled = True

    def handle(self, frame: Frame) -> None:
        """Segment one frame and publish the result, or count and report why that was not possible."""
        try:
            self._segment(frame)
        except InvalidInputError as error:
            self._statistics.rejected(error.reason, str(error))
            self._warn(f"rejected_{error.reason}", f"frame on {self._input.topic} left out: {error}")
        except MadmError as error:
            self._statistics.rejected("inference", str(error))
            self._warn("rejected_inference", f"frame on {self._input.topic} not segmented: {error}")

    def _segment(self, frame: Frame) -> None:
        started = time.perf_counter()
        sensor_frame = self._input.decode(frame)
        if frame.epoch != self._epoch:
            self._model.modality.reset()
            self._epoch = frame.epoch
        encoded = self._model.modality.encode(sensor_frame.array)
        picture = picture_values(encoded.image, encoded.valid)
        self.input_values = input_values(sensor_frame, picture)
        decoded = time.perf_counter()
        prediction = self._model.segmenter.segment(encoded)
        inferred = time.perf_counter()
        if self._cancelled:
            self._statistics.dropped("stopped")
            return
        parameters = self._parameters()
        stamp = sensor_frame.header.stamp
        self._publishers.publish(
            sensor_frame.header,
            prediction.labels,
            prediction.confidence,
            encoded.image,
            overlay_opacity=parameters.overlay_opacity,
            min_confidence=parameters.min_confidence,
        )
        finished = time.perf_counter()
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        stamp_age_s = (self._now_ns() - stamp_ns) / 1e9
        # A sender that leaves the stamp empty has no clock that could be wrong.
        arrival_age_s = stamp_age_s - (finished - frame.received_s) if stamp_ns else None
        confidence, top_class, top_share = label_facts(prediction.labels, prediction.confidence)
        self.recent.add(FrameFacts(inferred - decoded, arrival_age_s, confidence, top_class, top_share, picture))
        self._statistics.published(
            {
                "wait": started - frame.received_s,
                "decode": decoded - started,
                "inference": inferred - decoded,
                "publish": finished - inferred,
                "total": finished - frame.received_s,
                "stamp_age": stamp_age_s,
            }
        )
        if picture["valid_share"] == 0.0:
            self._warn(
                "nothing_valid",
                f"no pixel on {self._input.topic} holds a valid measurement: all labels are 255; "
                "look at the sensor, or at depth_scale and the encoding",
            )


def input_values(sensor_frame: SensorFrame, picture: Mapping[str, float]) -> dict[str, object]:
    """Facts about a frame: size, encoding, raw range and mean, and what its picture looks like."""
    sample = sensor_frame.array[..., ::SAMPLE_STRIDE, ::SAMPLE_STRIDE]
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    values: dict[str, object] = {**sensor_frame.details, **picture}
    if finite.size:
        values["raw_min"], values["raw_max"] = float(finite.min()), float(finite.max())
        values["raw_mean"] = float(finite.mean(dtype=np.float64))
    return values
