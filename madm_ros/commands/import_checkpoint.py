# PYTHON_ARGCOMPLETE_OK
"""``import_checkpoint``: makes a model directory of a checkpoint that the paper's authors published."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madm_core.command_line import SUCCESS, Outcome, command_parser, run_command
from madm_core.config import yaml_value
from madm_core.errors import ConfigError

logger = logging.getLogger("import_checkpoint")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "import_checkpoint",
        "Turns a checkpoint of the reference implementation (github.com/XiaRho/MADM) into a model directory for\n"
        "the node. The file is read without running code that it may contain.",
        [
            "import_checkpoint --checkpoint model_RGB2Depth.pth --base CompVis/stable-diffusion-v1-4 "
            "--modality depth --output models/depth",
            "import_checkpoint --checkpoint model_RGB2Infrared.pth --base sd-v1-4/ --modality thermal "
            "--output models/thermal",
        ],
    )
    options.add_argument("--checkpoint", required=True, type=Path, metavar="PTH", help="the authors' file")
    options.add_argument(
        "--base",
        required=True,
        help="diffusers directory or hub id of the Stable Diffusion base that the checkpoint was trained on; its "
        "configurations are enough, because the checkpoint holds its weights",
    )
    options.add_argument("--modality", required=True, help="depth, thermal (or infrared) or event")
    options.add_argument("--output", required=True, type=Path, metavar="DIR", help="the model directory to write")
    options.add_argument(
        "--teacher", action="store_true", help="import the moving averages instead of the student's weights"
    )
    options.add_argument(
        "--label-set", metavar="NAME", help="madm11, madm9 or cityscapes19 (default: by the number of classes)"
    )
    options.add_argument(
        "--encoding",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="parameters of the modality's encoding that differ from the defaults, e.g. encoding=log",
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    return run_command(parser(), import_checkpoint, arguments)


def import_checkpoint(options: argparse.Namespace) -> Outcome:
    """Runs the command; see :func:`parser`."""
    from madm_core.labels import LabelSet
    from madm_core.modalities import modality_named

    # Checked before the gigabytes are read.
    modality = modality_named(options.modality, _encoding_parameters(options.encoding))
    label_set = LabelSet.named(options.label_set) if options.label_set else None
    from madm_core.model.checksums import file_sha256
    from madm_core.model_directory import save_model_directory
    from madm_core.reference_import import import_reference_checkpoint

    logger.info("reading %s", options.checkpoint)
    model = import_reference_checkpoint(options.checkpoint, options.base, label_set=label_set, teacher=options.teacher)
    provenance = {
        "imported_from": options.checkpoint.name,
        "checkpoint_sha256": file_sha256(options.checkpoint),
        "weights": "teacher (moving averages)" if options.teacher else "student",
        "base": options.base,
        "recipe": "reference",
    }
    written = save_model_directory(
        options.output,
        model.network,
        modality=modality,
        label_set=model.label_set,
        image_size=model.image_size,
        provenance=provenance,
    )
    for line in model.report:
        print(line)
    height, width = model.image_size
    print(f"{modality.name}, {len(model.label_set)} classes, {width}x{height} pixels")
    facts = {"modality": modality.name, "classes": list(model.label_set.names), "image_size": [height, width]}
    steps = [f"doctor --model {written}", f"segment --model {written} --input TOPIC"]
    return Outcome(SUCCESS, [written], steps, {**facts, "provenance": provenance})


def _encoding_parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """``["key=value", ...]`` with values as YAML would read them."""
    parameters = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ConfigError("an encoding parameter cannot be used", got=repr(pair), expected="key=value")
        parameters[key] = yaml_value(value, f"the encoding parameter '{key}'")
    return parameters


if __name__ == "__main__":
    sys.exit(main())
