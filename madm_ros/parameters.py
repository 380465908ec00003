"""Parameters at work: declared, validated and put into the documentation from :class:`NodeParameters`."""

from __future__ import annotations

import dataclasses
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from madm_core.config import nearest, yaml_value
from madm_core.errors import ConfigError
from madm_ros.node_parameters import CHECKS, SPECS, NodeParameters

_FOREIGN_PARAMETERS = ("use_sim_time", "start_type_description_service")
"""Parameters that rclpy itself declares, besides those that begin with ``qos_overrides.``."""

NODE_OPTIONS: dict[str, Any] = {
    # Only so does rclpy show which names a parameter file or command line set: a misspelt one can then be refused.
    "automatically_declare_parameters_from_overrides": True,
    # Only so do unknown names reach validate_change, which says more about them than rclpy's "undeclared []".
    "allow_undeclared_parameters": True,
}
"""Arguments for ``rclpy.node.Node`` that :func:`declare_parameters` and :func:`validate_change` rely on."""


def declare_parameters(node: Node) -> NodeParameters:
    """Declare every parameter on a node and return the values that it was started with.

    The node must have been made with :data:`NODE_OPTIONS`.

    Raises:
        ConfigError: An unknown name (the nearest is named), or a value of the wrong type, range or choice.
    """
    given = {name: node.get_parameter_or(name) for name in node.get_parameters_by_prefix("")}
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
        overrides[key] = yaml_value(value, f"modality_overrides '{key}'")
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
    if name == "error_on":
        for word in value.split():
            if word not in CHECKS:
                return f"parameter 'error_on' cannot be used: got '{word}'. {nearest(word, CHECKS)}"
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
