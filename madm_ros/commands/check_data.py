# PYTHON_ARGCOMPLETE_OK
"""``check_data``: reads every file of a training's data and lists everything that is wrong with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from madm_core.command_line import FAILED, SUCCESS, Outcome, command_parser, run_command
from madm_core.terminal import shows_progress
from madm_ros.config_options import add_config_options, read_config


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "check_data",
        "Checks the data of a training configuration: counts, sizes, class shares, broken and missing files.",
        [
            "check_data --config my_camera.yaml --sheets sheets/",
            "check_data --config my_camera.yaml --json > data.json",
        ],
        exit_codes="0 every frame can be used, 1 some cannot, 2 the configuration or a folder cannot be used, "
        "130 interrupted",
    )
    add_config_options(options, "folder_to_bag")
    options.add_argument(
        "--sheets", type=Path, metavar="DIR", help="folder for preview sheets (source.png, target.png, ...)"
    )
    return options


def check_data(chosen: argparse.Namespace) -> Outcome:
    """Runs the command; 1 when any frame cannot be used."""
    from madm_core.adaptation.training_config import TrainingConfig
    from madm_core.data.check_sheet import check_sheet, save_sheet
    from madm_core.data.checks import check_frames
    from madm_core.data.sources import open_frames

    config = read_config(TrainingConfig, chosen)
    modality, progress = config.make_modality(), shows_progress()
    sections = {"source": config.source, "target": config.target, "validation": config.validation}
    facts, sheets, usable = {}, [], True
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
        print(f"[{name}] {report.describe(config.labels)}", flush=True)
        lacks_labels = name != "target" and not frames.labelled
        if lacks_labels:
            print("  problem: these frames have no labels")
        usable = usable and report.usable and not lacks_labels
        facts[name] = {**report.to_dict(config.labels), "labelled": frames.labelled}
        if chosen.sheets is not None:
            sheets.append(chosen.sheets / f"{name}.png")
            save_sheet(sheets[-1], check_sheet(frames, config.labels))
    if not usable:
        return Outcome(FAILED, sheets, ["mend the problems above, then run check_data again"], facts)
    print("everything can be used")
    again = " ".join([str(chosen.config), *chosen.overrides])
    return Outcome(SUCCESS, sheets, [f"train_adapt --config {again}"], facts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    return run_command(parser(), check_data, arguments)


if __name__ == "__main__":
    sys.exit(main())
