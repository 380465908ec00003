# PYTHON_ARGCOMPLETE_OK
"""``distill``: a trained model and unlabelled frames -> a compact model for a small computer."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from madm_core.command_line import SUCCESS, Outcome, command_parser, run_command
from madm_core.terminal import shows_progress
from madm_ros.config_options import add_config_options, read_config


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "distill",
        "Teaches a compact network what a trained model says about unlabelled frames (docs/distillation.md).",
        [
            "distill --config distill_folder teacher=models/depth output=runs/depth_student",
            "distill --config runs/depth_student/config.yaml --resume",
        ],
        exit_codes="0 finished, or interrupted after a checkpoint was saved; 1 the training failed, 2 the input cannot "
        "be used",
    )
    add_config_options(options, "distill_folder")
    options.add_argument("--resume", action="store_true", help="go on from the newest intact checkpoint")
    return options


def distill(chosen: argparse.Namespace) -> Outcome:
    """Runs the command; see :func:`parser`."""
    # Imported here: --help must not wait for torch and transformers.
    from madm_core.adaptation.run_directory import resume_advice
    from madm_core.student.distillation import Distillation
    from madm_core.student.distillation_config import DistillationConfig

    config = read_config(DistillationConfig, chosen)
    logging.getLogger("madm_core").setLevel(logging.INFO)
    result = Distillation(config, resume=chosen.resume, progress=shows_progress()).run()
    facts: dict[str, Any] = {"steps": result.step, "finished": result.finished}
    if not result.finished or result.model is None:
        return Outcome(SUCCESS, [config.output], [resume_advice(config.output, "distill")], facts)
    found = result.comparison
    if found is not None:
        facts |= {"frames": found.frames, "agreement": found.agreement}
        if found.teacher is not None and found.student is not None:
            facts |= {"teacher_mean_iou": found.teacher.mean_iou, "student_mean_iou": found.student.mean_iou}
            print(
                f"mIoU over {found.frames} frames: teacher {found.teacher.mean_iou:.1%}, "
                f"student {found.student.mean_iou:.1%}"
            )
        print(f"teacher and student say the same on {found.agreement:.1%} of the pixels")
    steps = [
        f"segment --model {result.model} --input TOPIC",
        f"export_model --model {result.model} --format onnx --output {result.model}-onnx",
    ]
    return Outcome(SUCCESS, [result.model], steps, facts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    return run_command(parser(), distill, arguments)


if __name__ == "__main__":
    sys.exit(main())
