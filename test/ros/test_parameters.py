"""Parameters: declared once, refused with a reason, documented from the same source."""

from __future__ import annotations

import dataclasses

import pytest
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter

from madm_core.errors import ConfigError
from madm_ros import parameters as node_parameters
from madm_ros.node_parameters import SPECS, NodeParameters
from madm_ros.parameters import declare_parameters, overrides_of, parameters_table


def node_with(context, *overrides: Parameter, cli: list[str] | None = None) -> Node:
    return Node(
        "parameters",
        context=context,
        parameter_overrides=list(overrides),
        cli_args=["--ros-args", *cli] if cli else None,
        **node_parameters.NODE_OPTIONS,
    )


def test_defaults_come_from_the_dataclass(context):
    node = node_with(context)
    assert declare_parameters(node) == NodeParameters()
    for field in dataclasses.fields(NodeParameters):
        descriptor = node.describe_parameter(field.name)
        assert descriptor.description
        assert descriptor.read_only == (SPECS[field.name].applies == "at start")
    assert node.describe_parameter("overlay_opacity").floating_point_range[0].to_value == 1.0
    assert node.describe_parameter("queue_limit").integer_range[0].from_value == 1
    node.destroy_node()


def test_command_line_and_file_set_values(context, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("segmentation:\n  ros__parameters:\n    overlay_opacity: 0.25\n    use_sim_time: false\n")
    file.write_text(file.read_text().replace("segmentation:", "parameters:"))
    node = node_with(context, cli=["--params-file", str(file), "-p", "model:=somewhere", "-p", "queue_limit:=7"])
    values = declare_parameters(node)
    assert (values.overlay_opacity, values.model, values.queue_limit) == (0.25, "somewhere", 7)
    node.destroy_node()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("overlay_opasity", 0.5, "id you mean 'overlay_opacity'"),
        ("precision", "fp17", "expected"),
        ("overlay_opacity", 1.5, "0.0 to 1.0"),
        ("overlay_opacity", 1, "point"),
        ("queue_limit", 0, "1 to 10000"),
        ("queue_limit", "many", "whole number"),
        ("autostart", "yes", "true, false"),
        ("modality_overrides", "window_ms", "key=value"),
        ("modality_overrides", "window_ms=[", "YAML"),
        ("error_on", "clock_skew stale_inptu", "did you mean 'stale_input'"),
        ("input_reliability", "reliabel", "did you mean 'reliable'"),
    ],
)
def test_bad_values_at_start_are_refused_with_the_reason(context, name, value, says):
    node = node_with(context, Parameter(name, value=value))
    with pytest.raises(ConfigError) as error:
        declare_parameters(node)
    assert says in str(error.value)
    assert name in str(error.value)
    node.destroy_node()


def test_changes_are_judged_over_the_service(world):
    node = world.add(node_with(world.context))
    values = declare_parameters(node)
    node.add_on_set_parameters_callback(node_parameters.validate_change)
    tester = world.node()

    def change(name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return world.call(tester, SetParameters, "/parameters/set_parameters", request).results[0]

    assert change("overlay_opacity", 0.75).successful
    assert node.get_parameter("overlay_opacity").value == 0.75
    for name, value, says in [
        ("precision", "fp17", "expected 'auto'"),
        ("queue_policy", "all", "latest"),
        ("overlay_opacity", 7.0, "range"),
        ("overlay_opacity", "much", "type"),
        ("autostart", False, "read-only"),
        ("modality_overrides", "x", "key=value"),
        ("overlay_opasity", 0.5, "id you mean 'overlay_opacity'"),
    ]:
        result = change(name, value)
        assert not result.successful
        assert says in result.reason, (name, result.reason)
    assert not node.has_parameter("overlay_opasity")
    assert change("use_sim_time", False).successful
    assert node_parameters.changed(values, [Parameter("overlay_opacity", value=0.1)]).overlay_opacity == 0.1
    described = world.call(
        tester, DescribeParameters, "/parameters/describe_parameters", DescribeParameters.Request(names=["precision"])
    ).descriptors[0]
    assert described.type == ParameterType.PARAMETER_STRING
    assert "fp16" in described.additional_constraints


def test_overrides_are_yaml_values():
    assert overrides_of("window_ms=20 range=fixed  low=-1.5 infinity_is_far=true") == {
        "window_ms": 20,
        "range": "fixed",
        "low": -1.5,
        "infinity_is_far": True,
    }
    assert overrides_of("") == {}


def test_the_table_names_every_parameter():
    lines = parameters_table().splitlines()
    assert len(lines) == 2 + len(SPECS)
    for name in SPECS:
        assert sum(f"| `{name}` |" in line for line in lines) == 1
    assert all(line.count("|") == 6 for line in lines)
