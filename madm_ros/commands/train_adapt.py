# PYTHON_ARGCOMPLETE_OK
"""``train_adapt``: labelled colour pictures and unlabelled frames of your own sensor -> a model directory."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from madm_core.command_line import SUCCESS, Outcome, command_parser, run_command
from madm_core.terminal import shows_progress
from madm_ros.config_options import add_config_options, read_config

if TYPE_CHECKING:
    from madm_core.adaptation.trainer import Trainer


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "train_adapt",
        "Adapts a segmentation network from labelled colour pictures to another sensor (docs/training.md).",
        [
            "train_adapt --config my_camera.yaml output=runs/my_camera",
            "train_adapt --config runs/my_camera/config.yaml --resume",
            "train_adapt --config streetworld_depth max_steps=100   # a configuration that comes with madm_ros",
            "accelerate launch --multi_gpu --num_processes 2 -m madm_ros.commands.train_adapt --config config.yaml",
        ],
        exit_codes="0 finished, or interrupted after a checkpoint was saved; 1 the training failed, 2 the input cannot "
        "be used",
    )
    add_config_options(options, "folder_to_bag")
    options.add_argument("--resume", action="store_true", help="go on from the newest intact checkpoint")
    options.add_argument(
        "--allow-config-change", action="store_true", help="resume although the configuration has changed"
    )
    options.add_argument("--plan-only", action="store_true", help="print the expected memory and leave")
    return options


def train_adapt(chosen: argparse.Namespace) -> Outcome:
    """Runs the command; see :func:`parser`."""
    # Imported here and in _load: --help must not wait for torch and diffusers.
    from madm_core.adaptation.run_directory import resume_advice
    from madm_core.interruption import Interrupted, raising_interrupted

    try:
        with raising_interrupted(signal.SIGTERM):
            trainer = _load(chosen)
    except Interrupted:
        print("stopped before the first step; nothing to save", file=sys.stderr)
        return Outcome()
    if trainer is None:
        return Outcome()
    result = trainer.run()
    if not trainer.accelerator.is_main_process:
        return Outcome()
    facts: dict[str, Any] = {"steps": result.step, "finished": result.finished}
    if result.model is None:
        return Outcome(SUCCESS, [trainer.config.output], [resume_advice(trainer.config.output)], facts)
    steps = [
        f"segment --model {result.model} --input TOPIC",
        f"evaluate_bag BAG --model {result.model} --topic TOPIC --label-topic LABELS",
    ]
    return Outcome(SUCCESS, [result.model], steps, facts)


def _load(chosen: argparse.Namespace) -> Trainer | None:
    """Everything up to the first step; None with ``--plan-only``."""
    from madm_core.adaptation.memory_planner import plan_memory
    from madm_core.adaptation.trainer import Trainer
    from madm_core.adaptation.training_config import TrainingConfig

    config = read_config(TrainingConfig, chosen)
    logging.getLogger("madm_core").setLevel(logging.INFO)
    print(plan_memory(config).describe(), flush=True)
    if chosen.plan_only:
        return None
    return Trainer(
        config,
        resume=chosen.resume,
        allow_config_change=chosen.allow_config_change,
        progress=shows_progress(),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    return run_command(parser(), train_adapt, arguments)


if __name__ == "__main__":
    sys.exit(main())
