"""``doctor``: the facts that a bug report needs, and what is wrong with this installation."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from madm_core.command_line import command_parser, run_command

if TYPE_CHECKING:
    from madm_ros.doctor.findings import Finding


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns 1 when something cannot work, else 0."""
    parser = command_parser(
        "doctor",
        "Prints what this machine, its Python, torch, ROS 2, DDS and topics are like, and what is wrong with them.",
        ["doctor", "doctor --model models/depth", "doctor --json > facts.json"],
    )
    parser.add_argument("--model", metavar="DIR", help="also load this model directory or hub id and verify it")
    parser.add_argument("--wait", type=float, default=2.0, metavar="S", help="seconds to look for topics (default 2)")
    parser.add_argument("--json", action="store_true", help="for machines")
    return run_command(_run, parser.parse_args(argv))


def _run(arguments: argparse.Namespace) -> int:
    from madm_ros.doctor.findings import as_mapping, as_text, worst
    from madm_ros.doctor.machine import check_compute, check_machine, check_packages
    from madm_ros.doctor.ros import check_middleware, check_ros

    sections: dict[str, Sequence[Finding]] = {
        "Machine": _checked(check_machine),
        "Python packages": _checked(check_packages),
        "Compute": _checked(check_compute),
        "ROS 2": _checked(check_ros),
    }
    if sections["ROS 2"][0].subject != "rclpy":  # there is one
        sections["Middleware"] = _checked(check_middleware)
        sections["Topics"] = _checked(lambda: _topics(arguments.wait))
    if arguments.model:
        from madm_ros.doctor.model import check_model

        sections["Model"] = _checked(lambda: check_model(arguments.model))
    print(json.dumps(as_mapping(sections), indent=2) if arguments.json else as_text(sections))
    return 1 if worst(sections) == "error" else 0


def _checked(check: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    """The findings of a check. One that fails is a finding, too: here of all places something may well be broken."""
    from madm_ros.doctor.findings import Finding

    try:
        return check()
    except Exception as error:
        text = f"this check failed: {type(error).__name__}: {error}"
        return [Finding("doctor", "error", text, "if that does not say enough, put this output into a bug report")]


def _topics(seconds: float) -> Sequence[Finding]:
    import rclpy
    from rclpy.context import Context

    from madm_ros.doctor.ros import check_topics

    context = Context()
    rclpy.init(args=[], context=context)
    try:
        node = rclpy.create_node("madm_ros_doctor", context=context, start_parameter_services=False)
        try:
            return check_topics(node, seconds)
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
