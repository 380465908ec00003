"""``train_adapt``: labelled colour pictures and unlabelled frames of your own sensor -> a model directory."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from madm_core.command_line import command_parser, run_command

if TYPE_CHECKING:
    from madm_core.adaptation.trainer import Trainer


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = command_parser(
        "train_adapt",
        "Adapts a segmentation network from labelled colour pictures to another sensor (docs/training.md).",
        [
            "train_adapt --config config/train/folder_to_bag.yaml output=runs/my_camera",
            "train_adapt --config runs/my_camera/config.yaml --resume",
            "accelerate launch --multi_gpu --num_processes 2 -m madm_ros.commands.train_adapt --config config.yaml",
        ],
    )
    arguments.add_argument("--config", type=Path, required=True, help="YAML file; see config/train/")
    arguments.add_argument("--resume", action="store_true", help="go on from the newest intact checkpoint")
    arguments.add_argument(
        "--allow-config-change", action="store_true", help="resume although the configuration has changed"
    )
    arguments.add_argument("--plan-only", action="store_true", help="print the expected memory and leave")
    arguments.add_argument("overrides", nargs="*", metavar="key=value", help="values that win over the file")
    return arguments


def train_adapt(arguments: argparse.Namespace) -> int:
    """Runs the command; see :func:`parser`."""
    # Imported here and in _load: --help must not wait for torch and diffusers.
    from madm_core.adaptation.interruption import StopRequested, leaving_at_once

    try:
        with leaving_at_once():
            trainer = _load(arguments)
    except StopRequested:
        print("stopped before the first step; nothing to save", file=sys.stderr)
        return 0
    if trainer is None:
        return 0
    result = trainer.run()
    if result.finished:
        print(f"model: {result.model}")
    return 0


def _load(arguments: argparse.Namespace) -> Trainer | None:
    """Everything up to the first step; None with ``--plan-only``."""
    from madm_core.adaptation.memory_planner import plan_memory
    from madm_core.adaptation.trainer import Trainer
    from madm_core.adaptation.training_config import TrainingConfig
    from madm_core.config import load_config

    config = load_config(TrainingConfig, arguments.config, arguments.overrides)
    logging.getLogger("madm_core").setLevel(logging.INFO)
    print(plan_memory(config).describe(), flush=True)
    if arguments.plan_only:
        return None
    return Trainer(
        config,
        resume=arguments.resume,
        allow_config_change=arguments.allow_config_change,
        progress=sys.stderr.isatty(),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return run_command(train_adapt, parser().parse_intermixed_args(argv))


if __name__ == "__main__":
    sys.exit(main())
