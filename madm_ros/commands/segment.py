# PYTHON_ARGCOMPLETE_OK
"""``segment``: run the segmentation node."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from madm_core.command_line import INTERRUPTED, SUCCESS, UNUSABLE, Outcome, command_parser, run_command
from madm_core.shipped_files import NODES, config_file
from madm_ros.config_options import complete_shipped
from madm_ros.ros_arguments import split_ros_arguments

PREVIEW_PORT = 8088
"""Where the preview page is if no other port is asked for."""

_EXAMPLES = (
    "segment --model models/depth --input /camera/depth/image_raw",
    "segment --model models/depth --input /camera/depth/image_raw --preview",
    "segment --params-file segment_event --input /event_camera/events",
    "segment --build-only --model models/depth --ros-args -p compile_mode:=reduce-overhead",
    "segment --ros-args -p model:=models/thermal -r image:=/thermal/image_raw -p use_sim_time:=true",
)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "segment",
        "Segments a depth, thermal or event camera's topic, live.",
        _EXAMPLES,
        exit_codes="0 ended by Ctrl-C or SIGTERM, as nodes are (with --build-only, which is not done then: 130); "
        "1 the work failed, 2 the input cannot be used",
        answers_json=False,
    )
    options.add_argument("--model", help="model directory or hub id (the parameter 'model')")
    options.add_argument(
        "--input", metavar="TOPIC", help="sensor topic; the model knows whether it is 'image' or 'events'"
    )
    parameters = options.add_argument(
        "--params-file", metavar="FILE",
        help="ROS parameter file, or the name of one that comes with madm_ros, such as segment_depth",
    )  # fmt: skip
    complete_shipped(parameters, NODES)
    options.add_argument(
        "--preview",
        type=int,
        nargs="?",
        const=PREVIEW_PORT,
        metavar="PORT",
        help="show input, overlay, confidence and health on a page at http://127.0.0.1:PORT/, for browsers on this "
        f"machine or through ssh -L (the parameter 'preview_port'; without a number {PREVIEW_PORT})",
    )
    options.add_argument(
        "--build-only",
        action="store_true",
        help="load, compile (compile_mode) and warm up the model, then end: the next start finds the result",
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code. What follows ``--ros-args`` goes to ROS."""
    own, for_ros = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    return run_command(parser(), lambda chosen: _run(chosen, ros_arguments(chosen, for_ros)), own)


def ros_arguments(parsed: argparse.Namespace, given: Sequence[str]) -> list[str]:
    """The ROS arguments that the options stand for, followed by those that were given."""
    translated: list[str] = []
    if parsed.params_file:
        translated += ["--params-file", str(config_file(parsed.params_file, NODES))]
    if parsed.model:
        # Quoted, or YAML would read a directory called 123 as a number.
        quoted = parsed.model.replace("'", "''")
        translated += ["-p", f"model:='{quoted}'"]
    if parsed.preview is not None:
        translated += ["-p", f"preview_port:={parsed.preview}"]
    if parsed.input:
        translated += ["-r", f"image:={parsed.input}", "-r", f"events:={parsed.input}"]
    return [*(["--ros-args", *translated, "--"] if translated else []), *given]


def _run(chosen: argparse.Namespace, words: list[str]) -> Outcome:
    from madm_ros.process_memory import keep_freed_memory, settle_memory

    keep_freed_memory()  # before the imports, which start threads

    from madm_ros.node_run import run_node
    from madm_ros.segmentation_node import SegmentationNode

    outcome = Outcome(INTERRUPTED if chosen.build_only else SUCCESS)  # what a signal leaves

    def build(node: SegmentationNode) -> None:
        nonlocal outcome
        node.trigger_configure()
        outcome = Outcome(UNUSABLE if node.problem else SUCCESS)  # the reason is in the log

    run_node(words, lambda: SegmentationNode(after_load=settle_memory), build if chosen.build_only else None)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
