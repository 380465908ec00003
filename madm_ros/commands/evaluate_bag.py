# PYTHON_ARGCOMPLETE_OK
"""``evaluate_bag``: the scores of a model on recordings with labels. Needs no ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from madm_core.command_line import Outcome, command_parser, run_command
from madm_core.palette_names import PALETTES


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "evaluate_bag",
        "Scores a model on bags with ground truth: prints a table, writes metrics.json and report.html.\n"
        "Pixels without ground truth (255) do not count; a prediction of 255 (no measurement) on a pixel with ground\n"
        "truth counts as a miss. mIoU is the mean over the classes present in the ground truth of all bags.",
        [
            "evaluate_bag drive_1 --model models/depth --topic /depth/image --label-topic /labels --output out",
            "evaluate_bag drive_1 --model models/event --topic /events --label-dir labels/ --protocol both",
            "evaluate_bag drive_1 --compare models/a models/b --topic /depth/image --label-topic /labels --output out",
            "evaluate_bag --compare out_a out_b            # two finished evaluations of the same frames",
            "evaluate_bag runs/*.mcap --model models/depth --topic /depth/image --label-topic /labels --workers 4",
        ],
        exit_codes="0 everything scored, 1 a bag of several failed (the report lists it) or live and offline labels "
        "differ, 2 the input cannot be used (nothing written), 130 interrupted by Ctrl-C or SIGTERM (the report covers "
        "what was scored until then)",
    )
    options.add_argument("bags", nargs="*", metavar="BAG", help="bag directory, .mcap or .db3")
    options.add_argument("--bag", nargs="+", default=[], metavar="BAG", help="the same, as an option")
    options.add_argument("--model", help="model directory or hub id")
    options.add_argument(
        "--base", metavar="DIR_OR_HUB_ID", help="where the model's base is, if it is not where the model says"
    )
    options.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two models, or two folders of finished evaluations: the difference of their mIoU with its interval",
    )
    options.add_argument("--topic", help="the sensor's topic")
    truth = options.add_mutually_exclusive_group()
    truth.add_argument("--label-topic", help="topic with ids (mono8, mono16) or the palette's colours (rgb8)")
    truth.add_argument("--label-dir", help="PNG files named <stamp in nanoseconds>.png or <sec>_<nanosec>.png")
    options.add_argument(
        "--label-bag",
        nargs="+",
        metavar="BAG",
        help="bags that hold the label topic, one for each bag (default: the same)",
    )
    options.add_argument("--label-map", metavar="YAML", help="renames the labels' ids: lines `old: new`, others stay")
    options.add_argument("--protocol", choices=["paper", "native", "both"], default="native", help="default native")
    options.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="S",
        help="largest difference of the stamps (default 0: equal stamps)",
    )
    options.add_argument("--start", type=float, default=0.0, metavar="S", help="begin S seconds after the bag's start")
    options.add_argument("--duration", type=float, metavar="S", help="use S seconds of the bag")
    options.add_argument("--stride", type=int, default=1, help="score every n-th frame (default 1)")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    options.add_argument("--precision", default="auto", help="auto, fp32, bf16, fp16")
    options.add_argument("--resize", default="reference", help="for native: reference, keep_aspect or sliding_window")
    where = options.add_argument_group("many bags")
    where.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, one bag at a time each (default 1)"
    )
    where.add_argument(
        "--ray", metavar="ADDRESS", help="spread bags over a Ray cluster: HOST:PORT, auto, or local (extra `ray`)"
    )
    _live_options(options)
    _output_options(options)
    return options


def _live_options(options: argparse.ArgumentParser) -> None:
    live = options.add_argument_group("through the running node (needs ROS)")
    live.add_argument(
        "--live",
        action="store_true",
        help="play the bag through a segmentation node and score its labels; exit code 1 when they differ from offline",
    )
    live.add_argument(
        "--node", default="", metavar="NAME", help="a running node, as /segmentation (default: start one)"
    )
    live.add_argument("--rate", type=float, default=1.0, help="bag seconds a real second (default 1)")
    live.add_argument(
        "--queue-policy",
        choices=["latest", "every"],
        default="latest",
        help="of the node that is started: latest drops frames when it is too slow (default), every does not",
    )
    live.add_argument(
        "--live-timeout", type=float, default=60.0, metavar="S", help="for the node's first answer (default 60)"
    )


def _output_options(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--output", default="evaluation", metavar="DIR", help="folder of the report (default evaluation)"
    )
    options.add_argument(
        "--palette", choices=PALETTES, default="label_set", help="class colours of the report (default label_set)"
    )
    options.add_argument("--rerun", metavar="FILE.rrd", help="also write the frames for the Rerun viewer (extra `viz`)")
    options.add_argument(
        "--export-predictions",
        nargs="?",
        const="",
        metavar="DIR",
        help="write <bag>_predictions with label and confidence topics, beside each bag or in DIR",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work(chosen: argparse.Namespace) -> Outcome:
        from madm_ros import bag_scoring

        return bag_scoring.compare_models(chosen, words) if chosen.compare else bag_scoring.evaluate(chosen, words)

    return run_command(parser(), work, words)


if __name__ == "__main__":
    sys.exit(main())
