"""The node's parameters and what ROS is told about each: one dataclass, the only place where they are listed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from madm_core.palette_names import PALETTES

EVENT_PACKET = "event_camera_msgs/msg/EventPacket"
DVS_EVENT_ARRAY = "dvs_msgs/msg/EventArray"
PROPHESEE_EVENT_ARRAY = "prophesee_event_msgs/msg/EventArray"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"

CHECKS = (
    "stale_input", "lost_packets", "clock_skew", "unusual_input", "slow_inference", "low_confidence", "class_collapse",
)  # fmt: skip
"""What the watchdog looks for (docs/reliability.md)."""


@dataclass(frozen=True)
class ParameterSpec:
    """What ROS is told about a parameter.

    Args:
        description: One sentence for people, shown by ``ros2 param describe`` and in the documentation.
        applies: When a new value takes effect: ``at once``, ``at ~/reload_model`` (or the next configure),
            ``at the next activate``, or ``at start`` (the parameter is then read-only).
        choices: The values allowed; None allows all that fit the type and range.
        minimum, maximum: Inclusive range of a number.
    """

    description: str
    applies: str
    choices: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def read_only(self) -> bool:
        """Whether the value is fixed once the node runs."""
        return self.applies == "at start"


AT_ONCE, AT_RELOAD, AT_ACTIVATE, AT_START = "at once", "at ~/reload_model", "at the next activate", "at start"


def _parameter(default: Any, description: str, applies: str, **limits: Any) -> Any:
    return dataclasses.field(default=default, metadata={"spec": ParameterSpec(description, applies, **limits)})


@dataclass(frozen=True)
class NodeParameters:
    """Values of all parameters of the segmentation node. Field names are the parameter names."""

    model: str = _parameter("", "Model directory, or hub id of one (only a hub id uses the network).", AT_RELOAD)
    base: str = _parameter(
        "", "Where the model's Stable Diffusion base is, if it is not where the model directory says.", AT_RELOAD
    )
    modality: str = _parameter(
        "",
        "Refuse a model of another modality; empty takes what the model says.",
        AT_RELOAD,
        choices=("", "depth", "thermal", "infrared", "event"),
    )
    modality_overrides: str = _parameter(
        "",
        "Changes to the model's encoding parameters: 'key=value key=value', e.g. 'window_ms=20' or 'low=273.15'.",
        AT_RELOAD,
    )
    device: str = _parameter(
        "auto",
        "Compute device: auto, cpu, cuda or cuda:N; for ONNX models also tensorrt or openvino:CPU. One that is not "
        "there is an error, never a fallback.",
        AT_RELOAD,
    )
    precision: str = _parameter(
        "auto",
        "Arithmetic of the network; auto is bf16 or fp16 on CUDA and fp32 on CPU.",
        AT_RELOAD,
        choices=("auto", "fp32", "fp16", "bf16", "reference_amp"),
    )
    compile_mode: str = _parameter(
        "none",
        "torch.compile mode; other than none makes the first start slow and inference faster.",
        AT_RELOAD,
        choices=("none", "default", "reduce-overhead", "max-autotune"),
    )
    allow_eager_fallback: bool = _parameter(
        False, "Run uncompiled, with a warning in log and diagnostics, when torch.compile fails.", AT_RELOAD
    )
    decoder_precision: str = _parameter(
        "same",
        "Arithmetic of the autoencoder's decoder alone, the largest part of the network.",
        AT_RELOAD,
        choices=("same", "fp32", "bf16", "fp16"),
    )
    tiny_autoencoder: str = _parameter(
        "",
        "Hub id or directory of an AutoencoderTiny that replaces the model's autoencoder; empty for none.",
        AT_RELOAD,
    )
    tiny_autoencoder_parts: str = _parameter(
        "both", "What the tiny autoencoder replaces.", AT_RELOAD, choices=("both", "encoder", "decoder")
    )
    resize: str = _parameter(
        "reference",
        "How frames reach the network's size: stretched as in the paper, padded, or in overlapping tiles.",
        AT_RELOAD,
        choices=("reference", "keep_aspect", "sliding_window"),
    )
    palette: str = _parameter(
        "label_set",
        "Class colours of overlay, legend, label_names and preview: the label set's own, or colours that colour-blind "
        "people can tell apart. Ids are the same.",
        AT_RELOAD,
        choices=PALETTES,
    )
    autostart: bool = _parameter(True, "Configure and activate at start without a lifecycle manager.", AT_START)
    image_message_type: str = _parameter(
        IMAGE, "Message type of the topic image (depth and thermal).", AT_ACTIVATE, choices=(IMAGE, COMPRESSED_IMAGE)
    )
    event_message_type: str = _parameter(
        EVENT_PACKET,
        "Message type of the topic events.",
        AT_ACTIVATE,
        choices=(EVENT_PACKET, DVS_EVENT_ARRAY, PROPHESEE_EVENT_ARRAY, POINT_CLOUD),
    )
    input_reliability: str = _parameter(
        "best_effort",
        "Reliability asked of the sensor; best_effort also receives from reliable publishers.",
        AT_ACTIVATE,
        choices=("best_effort", "reliable"),
    )
    queue_policy: str = _parameter(
        "latest",
        "latest segments the newest frame and drops older ones; every segments all frames in order (for evaluation).",
        AT_ACTIVATE,
        choices=("latest", "every"),
    )
    queue_limit: int = _parameter(
        100,
        "Frames that may wait with queue_policy every; the oldest beyond it is dropped.",
        AT_ACTIVATE,
        minimum=1,
        maximum=10000,
    )
    event_queue_depth: int = _parameter(
        1000, "Event messages that the middleware keeps while the node is busy.", AT_ACTIVATE, minimum=1, maximum=100000
    )
    event_width: int = _parameter(
        0,
        "Sensor width in pixels, for PointCloud2 events only: the message does not say it.",
        AT_ACTIVATE,
        minimum=0,
        maximum=65535,
    )
    event_height: int = _parameter(
        0, "Sensor height in pixels, for PointCloud2 events only.", AT_ACTIVATE, minimum=0, maximum=65535
    )
    event_hot_pixel_s: float = _parameter(
        0.0,
        "First seconds of a stream in which pixels that fire on their own are searched, to be masked from then on; "
        "0 for never.",
        AT_ACTIVATE,
        minimum=0.0,
        maximum=3600.0,
    )
    min_confidence: float = _parameter(
        0.0, "Pixels whose confidence is lower are published as label 255.", AT_ONCE, minimum=0.0, maximum=1.0
    )
    overlay_opacity: float = _parameter(
        0.5, "Weight of the class colours in the overlay; the rest is the input.", AT_ONCE, minimum=0.0, maximum=1.0
    )
    preview_port: int = _parameter(
        0,
        "Port of 127.0.0.1 for a page that shows input, overlay, confidence, rates and health; 0: no page.",
        AT_START,
        minimum=0,
        maximum=65535,
    )
    input_timeout_s: float = _parameter(
        5.0, "Input is stale when no message arrived for so long.", AT_ONCE, minimum=0.1, maximum=3600.0
    )
    max_inference_s: float = _parameter(
        1.0, "The network is slow when a frame takes longer; 0: not checked.", AT_ONCE, minimum=0.0, maximum=3600.0
    )
    min_mean_confidence: float = _parameter(
        0.3,
        "Confidence is low when its mean over a frame's labelled pixels is below this; 0: not checked.",
        AT_ONCE,
        minimum=0.0,
        maximum=1.0,
    )
    max_class_share: float = _parameter(
        0.99,
        "Labels have collapsed when one class has a larger share of them; 0 or 1: not checked.",
        AT_ONCE,
        minimum=0.0,
        maximum=1.0,
    )
    max_input_deviation: float = _parameter(
        6.0,
        "Input is unusual when brightness, contrast or share of valid pixels is further than so many standard "
        "deviations from the training data's (in madm.json); 0: not checked.",
        AT_ONCE,
        minimum=0.0,
        maximum=1000.0,
    )
    max_lost_share: float = _parameter(
        0.01,
        "Report lost event packets (gaps in seq) when their share is larger; 1: not checked.",
        AT_ONCE,
        minimum=0.0,
        maximum=1.0,
    )
    max_clock_skew_s: float = _parameter(
        10.0,
        "Clocks are skewed when stamps arrive older than this, or from so far in the future; 0: not checked.",
        AT_ONCE,
        minimum=0.0,
        maximum=1e6,
    )
    error_on: str = _parameter(
        "",
        f"Checks that are an ERROR in diagnostics instead of a WARN, separated by spaces: {', '.join(CHECKS)}.",
        AT_ONCE,
    )
    time_jump_s: float = _parameter(
        0.5,
        "A stamp earlier than the one before by more than this is a jump (a bag loop): windows reset.",
        AT_ONCE,
        minimum=0.0,
        maximum=3600.0,
    )
    warning_period_s: float = _parameter(
        5.0, "A warning of the same kind is repeated at most once in this time.", AT_ONCE, minimum=0.0, maximum=3600.0
    )
    diagnostics_period_s: float = _parameter(
        1.0, "Time between two messages on /diagnostics.", AT_START, minimum=0.1, maximum=60.0
    )


SPECS: dict[str, ParameterSpec] = {field.name: field.metadata["spec"] for field in dataclasses.fields(NodeParameters)}
"""Parameter name -> its specification."""
