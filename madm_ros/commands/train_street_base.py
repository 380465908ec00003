"""Trains madm-street-base, a small text-to-image diffusion model of synthetic streets. Needs no ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from madm_core.command_line import command_parser, run_command
from madm_core.config import load_config


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = command_parser(
        "train_street_base",
        "Trains a small Stable-Diffusion-shaped base on captioned pictures of synthetic streets in many styles."
        " It stands in for Stable Diffusion where that cannot be had, and is good for nothing but StreetWorld.",
        ["train_street_base --output runs/madm-street-base", "train_street_base --output runs/quick pictures=200"],
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of the base; what is done stays done")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; 1 gives the same result everywhere")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings, such as diffusion.steps=500")
    return run_command(_run, parser.parse_args(argv))


def _run(arguments: argparse.Namespace) -> int:
    from madm_core.pretraining.street_base import StreetBaseTraining, train_street_base

    settings = load_config(StreetBaseTraining, None, arguments.overrides)
    torch.set_num_threads(arguments.threads)
    measured = train_street_base(arguments.output, settings)
    recovered = measured["palette_recovery"]["pixels"]
    print(f"{arguments.output} is ready: {100 * recovered:.1f} % of palette pixels recovered on held-out streets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
