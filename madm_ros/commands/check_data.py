"""``check_data``: reads every file of a training's data and lists everything that is wrong with it."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from madm_core.command_line import command_parser, run_command

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = command_parser(
        "check_data",
        "Checks the data of a training configuration: counts, sizes, class shares, broken and missing files.",
        ["check_data --config config/train/folder_to_bag.yaml --sheets sheets/"],
    )
    arguments.add_argument("--config", type=Path, required=True, help="the YAML file that train_adapt will get")
    arguments.add_argument("--sheets", type=Path, help="folder for preview sheets (source.png, target.png, ...)")
    arguments.add_argument("overrides", nargs="*", metavar="key=value", help="values that win over the file")
    return arguments


def check_data(arguments: argparse.Namespace) -> int:
    """Runs the command; 1 when any frame cannot be used."""
    from madm_core.adaptation.training_config import TrainingConfig
    from madm_core.config import load_config
    from madm_core.data.check_sheet import check_sheet, save_sheet
    from madm_core.data.checks import check_frames
    from madm_core.data.sources import open_frames

    config = load_config(TrainingConfig, arguments.config, arguments.overrides)
    modality, progress = config.make_modality(), sys.stderr.isatty()
    sections = {"source": config.source, "target": config.target, "validation": config.validation}
    usable = True
    for name, section in sections.items():
        if section is None:
            continue
        encoder = None if name == "source" and section.get("sensor", "rgb") == "rgb" else modality
        frames = open_frames(
            section,
            label_set=config.labels,
            modality=encoder,
            cache=config.cache_folder,
            where=name,
            progress=progress,
        )
        report = check_frames(frames, config.labels, progress=progress)
        print(f"[{name}] {report.describe(config.labels)}")
        if name != "target" and not frames.labelled:
            print("  problem: these frames have no labels")
            usable = False
        usable = usable and report.usable
        if arguments.sheets is not None:
            save_sheet(arguments.sheets / f"{name}.png", check_sheet(frames, config.labels))
    print("everything can be used" if usable else "mend the problems above before training")
    return 0 if usable else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return run_command(check_data, parser().parse_intermixed_args(argv))


if __name__ == "__main__":
    sys.exit(main())
