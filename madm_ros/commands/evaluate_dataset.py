# PYTHON_ARGCOMPLETE_OK
"""``evaluate_dataset``: the scores of a model on a whole labelled data set, on one process or many. Needs no ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from madm_core.command_line import Outcome, command_parser, run_command
from madm_core.data import KINDS
from madm_core.errors import InvalidInputError
from madm_core.palette_names import PALETTES

DATASETS = tuple(kind for kind in KINDS if kind != "bag")
"""Kinds that can be scored as a data set; for bags there is evaluate_bag."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "evaluate_dataset",
        "Scores a model on all labelled frames of a data set and writes the report of evaluate_bag. Under `accelerate\n"
        "launch` the frames are shared out over the processes; the numbers are the same. For the published test sets\n"
        "the authors' figure is printed beside the model's. Keys of the data sets: docs/training.md.",
        [
            "evaluate_dataset --model models/depth --data deliver root=/data/DELIVER --output deliver_report",
            "evaluate_dataset --model models/event --data dsec root=/data/DSEC pictures=edges --protocol both",
            "accelerate launch --multi_gpu --num_processes 2 -m madm_ros.commands.evaluate_dataset \\\n"
            "      --model models/thermal --data fmb root=/data/FMB",
        ],
        exit_codes="0 scored, 1 the work failed, 2 the input cannot be used, 130 interrupted by Ctrl-C or SIGTERM "
        "(the report covers what was scored until then)",
    )
    options.add_argument("--model", required=True, help="model directory or hub id")
    options.add_argument(
        "--base", metavar="DIR_OR_HUB_ID", help="where the model's base is, if it is not where the model says"
    )
    options.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar=("KIND", "KEY=VALUE"),
        help=f"{', '.join(DATASETS)}, and its keys; split and use_labels are those of the test set unless given",
    )
    options.add_argument("--output", default="evaluation", metavar="DIR", help="where the report goes")
    options.add_argument(
        "--protocol", choices=["paper", "native", "both"], default="paper", help="default paper, as the figures are"
    )
    options.add_argument(
        "--device", default="auto", help="auto, cpu, cuda; under accelerate each process takes its own"
    )
    options.add_argument("--precision", default="auto", help="auto, fp32, bf16, fp16, reference_amp")
    options.add_argument("--resize", default="reference", help="for native: reference, keep_aspect or sliding_window")
    options.add_argument(
        "--palette", choices=PALETTES, default="label_set", help="class colours of the report (default label_set)"
    )
    options.add_argument(
        "--cache", default="~/.cache/madm_ros", metavar="DIR", help="for pictures drawn from DSEC's raw events"
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work(chosen: argparse.Namespace) -> Outcome:
        if chosen.data[0] not in DATASETS:
            raise InvalidInputError(
                "--data names an unknown kind", reason="option", got=chosen.data[0], expected=", ".join(DATASETS),
                do="use evaluate_bag" if chosen.data[0] == "bag" else None,
            )  # fmt: skip
        from madm_ros import dataset_scoring

        return dataset_scoring.evaluate(chosen, words)

    return run_command(parser(), work, words)


if __name__ == "__main__":
    sys.exit(main())
