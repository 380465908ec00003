# PYTHON_ARGCOMPLETE_OK
"""Trains madm-street-base, a small text-to-image diffusion model of synthetic streets. Needs no ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from madm_core.command_line import SUCCESS, Outcome, command_parser, run_command
from madm_core.config import load_config


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "train_street_base",
        "Trains a small Stable-Diffusion-shaped base on captioned pictures of synthetic streets in many styles.\n"
        "It stands in for Stable Diffusion where that cannot be had, and is good for nothing but StreetWorld.\n"
        "Takes about 80 minutes of one CPU core as it is; interrupted, it keeps the stages that are finished.",
        ["train_street_base --output runs/madm-street-base", "train_street_base --output runs/quick pictures=200"],
    )
    options.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="directory of the base; what is done stays done"
    )
    options.add_argument("--threads", type=int, default=1, help="CPU threads; 1 gives the same result everywhere")
    options.add_argument("overrides", nargs="*", metavar="key=value", help="settings, such as diffusion.steps=500")
    return options


def train_base(chosen: argparse.Namespace) -> Outcome:
    """Runs the command; see :func:`parser`."""
    import torch

    from madm_core.pretraining.street_base import StreetBaseTraining, train_street_base

    settings = load_config(StreetBaseTraining, None, chosen.overrides)
    torch.set_num_threads(chosen.threads)
    measured = train_street_base(chosen.output, settings)
    for size, recovered in measured["palette_recovery"].items():
        print(f"{100 * recovered['pixels']:.1f} % of palette pixels recovered on held-out streets ({size})")
    steps = [f"train_adapt --config streetworld_depth base={chosen.output}"]
    return Outcome(SUCCESS, [chosen.output], steps, {"measured": measured})


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    return run_command(parser(), train_base, arguments)


if __name__ == "__main__":
    sys.exit(main())
