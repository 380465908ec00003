"""The node's parameters: one dataclass, from which they are declared, validated and put into the documentation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import yaml
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from madm_core.config import nearest
from madm_core.errors import ConfigError

EVENT_PACKET = "event_camera_msgs/msg/EventPacket"
DVS_EVENT_ARRAY = "dvs_msgs/msg/EventArray"
PROPHESEE_EVENT_ARRAY = "prophesee_event_msgs/msg/EventArray"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"

_FOREIGN_PARAMETERS = ("use_sim_time", "start_type_description_service")
"""Parameters that rclpy itself declares, besides those that begin with ``qos_overrides.``."""

NODE_OPTIONS: dict[str, Any] = {
    # Only so does rclpy show which names a parameter file or command line set: a misspelt one can then be refused.
    "automatically_declare_parameters_from_overrides": True,
    # Only so do unknown names reach validate_change, which says more about them than rclpy's "undeclared []".
    "allow_undeclared_parameters": True,
}
"""Arguments for ``rclpy.node.Node`` that :func:`declare_parameters` and :func:`validate_change` rely on."""


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
        "Compute device: auto, cpu, cuda or cuda:N. One that is not there is an error, never a fallback.",
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
    resize: str = _parameter(
        "reference",
        "How frames reach the network's size: stretched as in the paper, padded, or in overlapping tiles.",
        AT_RELOAD,
        choices=("reference", "keep_aspect", "sliding_window"),
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
    min_confidence: float = _parameter(
        0.0, "Pixels whose confidence is lower are published as label 255.", AT_ONCE, minimum=0.0, maximum=1.0
    )
    overlay_opacity: float = _parameter(
        0.5, "Weight of the class colours in the overlay; the rest is the input.", AT_ONCE, minimum=0.0, maximum=1.0
    )
    input_timeout_s: float = _parameter(
        5.0, "Warn when no message arrived for so long.", AT_ONCE, minimum=0.1, maximum=3600.0
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


def declare_parameters(node: Node) -> NodeParameters:
    """Declare every parameter on a node and return the values that it was started with.

    The node must have been made with :data:`NODE_OPTIONS`.

    Raises:
        ConfigError: An unknown name (the nearest is named), or a value of the wrong type, range or choice.
    """
    given = node.get_parameters_by_prefix("")
    for name, parameter in given.items():
        if _is_foreign(name):
            continue
        if name not in SPECS:
            raise _unknown(name)
        node.undeclare_parameter(name)
        if parameter.type_ == Parameter.Type.NOT_SET:
            raise ConfigError(f"parameter '{name}' has no value", do="give it one or leave it out")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(NodeParameters):
        try:
            values[field.name] = node.declare_parameter(field.name, field.default, _descriptor(field)).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigError(
                f"parameter '{field.name}' cannot be used",
                got=repr(given[field.name].value) if field.name in given else None,
                expected=_allowed(field),
                do="write a number with a point for a double (5.0)" if isinstance(field.default, float) else None,
            ) from error
    for name, value in values.items():
        problem = _problem(name, value)
        if problem:
            raise ConfigError(problem)
    return NodeParameters(**values)


def validate_change(parameters: list[Parameter]) -> SetParametersResult:
    """Judge a change of parameters before it happens (for ``add_on_set_parameters_callback``).

    Types, ranges and read-only flags are checked by rclpy from the descriptors; here come names and choices.

    Returns:
        Unsuccessful with the reason when a name or value is unknown.
    """
    for parameter in parameters:
        if parameter.name in SPECS:
            problem = _problem(parameter.name, parameter.value)
        else:
            problem = None if _is_foreign(parameter.name) else str(_unknown(parameter.name))
        if problem:
            return SetParametersResult(successful=False, reason=problem)
    return SetParametersResult(successful=True)


def changed(current: NodeParameters, parameters: list[Parameter]) -> NodeParameters:
    """The values after an accepted change; parameters that are not the node's own (``use_sim_time``) are left out."""
    return dataclasses.replace(
        current, **{parameter.name: parameter.value for parameter in parameters if parameter.name in SPECS}
    )


def overrides_of(text: str) -> dict[str, Any]:
    """Parse ``modality_overrides``: ``'window_ms=20 range=fixed'`` -> ``{"window_ms": 20, "range": "fixed"}``.

    Raises:
        ConfigError: A part is not ``key=value`` with a value in YAML.
    """
    overrides: dict[str, Any] = {}
    for part in text.split():
        key, separator, value = part.partition("=")
        if not key or not separator or not value:
            raise ConfigError(
                "parameter 'modality_overrides' cannot be used",
                got=repr(part),
                expected="key=value, separated by spaces",
            )
        try:
            overrides[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"the value of modality_overrides '{key}' is not valid YAML", got=repr(value)) from error
    return overrides


def parameters_table() -> str:
    """All parameters as a Markdown table for the documentation."""
    lines = ["| parameter | default | allowed | takes effect | meaning |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(NodeParameters):
        spec = SPECS[field.name]
        default = f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
        default = "(empty)" if field.default == "" else default
        lines.append(f"| `{field.name}` | {default} | {_allowed(field)} | {spec.applies} | {spec.description} |")
    return "\n".join(lines) + "\n"


def _allowed(field: dataclasses.Field[Any]) -> str:
    spec = SPECS[field.name]
    if spec.choices is not None:
        return ", ".join(f"`{choice}`" if choice else "(empty)" for choice in spec.choices)
    kind = {"str": "text", "bool": "true, false", "int": "whole number", "float": "number"}[
        type(field.default).__name__
    ]
    return f"{kind} from {spec.minimum} to {spec.maximum}" if spec.minimum is not None else kind


def _is_foreign(name: str) -> bool:
    return name in _FOREIGN_PARAMETERS or name.startswith("qos_overrides.")


def _unknown(name: str) -> ConfigError:
    return ConfigError(f"unknown parameter '{name}'", do=nearest(name, list(SPECS)))


def _problem(name: str, value: Any) -> str | None:
    spec = SPECS[name]
    if spec.choices is not None and value not in spec.choices:
        hint = nearest(str(value), spec.choices)
        return (
            f"parameter '{name}' cannot be used: got '{value}'; expected {', '.join(map(repr, spec.choices))}. {hint}"
        )
    if name == "modality_overrides":
        try:
            overrides_of(value)
        except ConfigError as error:
            return str(error)
    return None


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    spec = SPECS[field.name]
    descriptor = ParameterDescriptor(
        description=spec.description,
        read_only=spec.read_only,
        additional_constraints="; ".join(
            part
            for part in (
                f"one of {', '.join(map(repr, spec.choices))}" if spec.choices else "",
                f"applies {spec.applies}",
            )
            if part
        ),
    )
    if spec.minimum is not None and spec.maximum is not None:
        if isinstance(field.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=spec.minimum, to_value=spec.maximum)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(spec.minimum), to_value=int(spec.maximum))]
    return descriptor
