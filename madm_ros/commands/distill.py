"""``distill``: a trained model and unlabelled frames -> a compact model for a small computer."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from madm_core.command_line import command_parser, run_command


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = command_parser(
        "distill",
        "Teaches a compact network what a trained model says about unlabelled frames (docs/distillation.md).",
        [
            "distill --config config/train/distill_folder.yaml teacher=models/depth output=runs/depth_student",
            "distill --config runs/depth_student/config.yaml --resume",
        ],
    )
    arguments.add_argument("--config", type=Path, required=True, help="YAML file; see config/train/distill_*.yaml")
    arguments.add_argument("--resume", action="store_true", help="go on from the newest intact checkpoint")
    arguments.add_argument("overrides", nargs="*", metavar="key=value", help="values that win over the file")
    return arguments


def distill(arguments: argparse.Namespace) -> int:
    """Runs the command; see :func:`parser`."""
    # Imported here: --help must not wait for torch and transformers.
    from madm_core.config import load_config
    from madm_core.student.distillation import Distillation
    from madm_core.student.distillation_config import DistillationConfig

    config = load_config(DistillationConfig, arguments.config, arguments.overrides)
    logging.getLogger("madm_core").setLevel(logging.INFO)
    result = Distillation(config, resume=arguments.resume, progress=sys.stderr.isatty()).run()
    if result.comparison is not None:
        found = result.comparison
        if found.teacher is not None and found.student is not None:
            print(
                f"mIoU over {found.frames} frames: teacher {found.teacher.mean_iou:.1%}, "
                f"student {found.student.mean_iou:.1%}"
            )
        print(f"teacher and student say the same on {found.agreement:.1%} of the pixels")
        print(f"model: {result.model}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return run_command(distill, parser().parse_intermixed_args(argv))


if __name__ == "__main__":
    sys.exit(main())
