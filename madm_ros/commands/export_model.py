# PYTHON_ARGCOMPLETE_OK
"""``export_model``: makes a model run without PyTorch's overhead, in ONNX, TorchScript, torch.export or TensorRT."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from madm_core.command_line import SUCCESS, Outcome, command_parser, run_command
from madm_core.errors import ConfigError

logger = logging.getLogger("export_model")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "export_model",
        "Writes a model directory whose network is a program of another runtime. The node and every other command\n"
        "run it like the model it was made of. The program is run beside PyTorch first: unless it gives the same\n"
        "label on 99.9 % of all pixels, nothing is written.",
        [
            "export_model --model models/depth --format onnx --output models/depth-onnx",
            "export_model --model models/depth --format onnx --frames recordings/ --output models/depth-onnx",
            "export_model --model models/depth --format tensorrt --device cuda --precision fp16 --output models/trt",
        ],
    )
    options.add_argument("--model", required=True, help="model directory or hub id")
    options.add_argument(
        "--format", required=True, choices=("onnx", "torchscript", "torch-export", "tensorrt"), help="what to write"
    )
    options.add_argument("--output", required=True, type=Path, metavar="DIR", help="the model directory to write")
    options.add_argument("--base", help="where the model's base is, if it is not where the model says")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    options.add_argument("--precision", default="fp32", help="fp32, bf16 or fp16 (default fp32)")
    options.add_argument(
        "--decoder-precision", default="same", help="of the autoencoder's decoder alone: same, fp32, bf16 or fp16"
    )
    options.add_argument(
        "--tiny-autoencoder",
        default="",
        metavar="NAME",
        help="hub id or directory of an AutoencoderTiny to use instead",
    )
    options.add_argument("--tiny-parts", default="both", help="what it replaces: both, encoder or decoder")
    options.add_argument("--opset", type=int, default=18, help="ONNX operator set, 17 to 20 (default 18)")
    options.add_argument(
        "--check-device", metavar="DEVICE", help="where to check the program, e.g. openvino:CPU (default: --device)"
    )
    options.add_argument(
        "--frames",
        type=Path,
        metavar="DIR",
        help="images or .npy arrays of the sensor to check with (default: synthetic ones)",
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    return run_command(parser(), export, arguments)


def export(options: argparse.Namespace) -> Outcome:
    """Runs the command; see :func:`parser`."""
    from madm_core.export.exporting import ExportOptions, export_model
    from madm_core.model.autoencoder_options import AutoencoderOptions
    from madm_core.model.madm import MadmNetwork
    from madm_core.model_directory import change_autoencoder, find_model_directory, load_model_directory

    if options.precision == "reference_amp":
        raise ConfigError("precision reference_amp cannot be exported", expected="fp32, bf16 or fp16")
    directory = find_model_directory(options.model)
    if options.output.resolve() == directory.resolve():
        raise ConfigError("the output is the model itself", got=options.output, do="give another directory")
    autoencoder = AutoencoderOptions(options.decoder_precision, options.tiny_autoencoder, options.tiny_parts)
    model = load_model_directory(directory, base=options.base)
    change_autoencoder(model, autoencoder)
    if isinstance(model.network, MadmNetwork):
        model.network.merge_adapter()
    logger.info("exporting %s as %s", options.model, options.format)
    result = export_model(
        model,
        options.output,
        ExportOptions(options.format, options.device, options.precision, options.opset, options.check_device),
        frames=_frames(options.frames, model.label_set, model.modality),
        origin={"autoencoder": asdict(autoencoder)} if autoencoder.describe() else None,
    )
    program, check = result["program"], result["check"]
    print(
        f"{program['file']}, {program['precision']}, {program['made_with']}; "
        f"the same label as PyTorch on {100 * check['same_labels']:.2f} % of pixels of {check['frames']} "
        f"{'given' if check['given'] else 'synthetic'} frames"
    )
    return Outcome(SUCCESS, [options.output], [f"segment --model {options.output} --input TOPIC"], result)


def _frames(folder: Path | None, label_set: Any, modality: Any) -> list[Any]:
    if folder is None:
        return []
    from madm_core.data.folder import FolderConfig, folder_frames

    frames = folder_frames(FolderConfig(folder), label_set, modality)
    return [frames.image(index) for index in range(len(frames))]


if __name__ == "__main__":
    sys.exit(main())
