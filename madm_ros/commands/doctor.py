# PYTHON_ARGCOMPLETE_OK
"""``doctor``: the facts that a bug report needs, and what is wrong with this installation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from madm_core.command_line import FAILED, SUCCESS, Outcome, command_parser, run_command
from madm_core.terminal import wants_colour

if TYPE_CHECKING:
    from madm_ros.doctor.findings import Finding


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "doctor",
        "Prints what this machine, its Python, torch, ROS 2, DDS and topics are like, and what is wrong with them.",
        ["doctor", "doctor --model models/depth", "doctor --json > facts.json"],
        exit_codes="0 nothing stands in the way, 1 something cannot work, 2 unusable options, 130 interrupted",
    )
    options.add_argument("--model", metavar="DIR", help="also load this model directory or hub id and verify it")
    options.add_argument(
        "--base", metavar="DIR_OR_HUB_ID", help="where that model's base is, if it is not where the model says"
    )
    options.add_argument("--wait", type=float, default=2.0, metavar="S", help="seconds to look for topics (default 2)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    return run_command(parser(), examine, arguments)


def examine(chosen: argparse.Namespace) -> Outcome:
    """Runs the command; 1 when something cannot work."""
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
        sections["Topics"] = _checked(lambda: _topics(chosen.wait))
    if chosen.model:
        from madm_ros.doctor.model import check_model

        sections["Model"] = _checked(lambda: check_model(chosen.model, chosen.base))
    print(as_text(sections, colour=wants_colour(sys.stdout)))
    return Outcome(FAILED if worst(sections) == "error" else SUCCESS, facts=as_mapping(sections))


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
    from madm_ros.ros_session import leave_ros

    context, node = Context(), None
    rclpy.init(args=[], context=context)
    try:
        node = rclpy.create_node("madm_ros_doctor", context=context, start_parameter_services=False)
        return check_topics(node, seconds)
    finally:
        leave_ros(node, context)


if __name__ == "__main__":
    sys.exit(main())
