"""Exports a model: writes the program, runs it beside PyTorch, and only then calls it done."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from madm_core.errors import ConfigError, WorkError
from madm_core.export.onnx import OPSET, write_onnx
from madm_core.export.program import ProgramFacts, load_program
from madm_core.export.tensorrt import write_engine
from madm_core.export.torch_programs import write_torch_program
from madm_core.model.directory_format import ModelHeader, read_description, write_model_directory
from madm_core.model.image_tensor import image_tensor
from madm_core.model.network import Deployment
from madm_core.model.resize_modes import resize_image
from madm_core.model_directory import LoadedModel

logger = logging.getLogger(__name__)

ExportFormat = Literal["onnx", "torchscript", "torch-export", "tensorrt"]
FILES: dict[ExportFormat, str] = {
    "onnx": "model.onnx",
    "torchscript": "model.ts",
    "torch-export": "model.pt2",
    "tensorrt": "model.engine",
}
SAME_LABELS = 0.999
"""Share of pixels that must get the label that PyTorch gives them."""
_SYNTHETIC_FRAMES = 4


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Args:
        format: The kind of program.
        device: Where PyTorch runs the network for the export, and the program for the check.
        precision: What the program computes in; see ``Segmenter``.
        opset: ONNX operator set, for ``onnx`` and ``tensorrt``.
        check_device: Where the program is checked, in its runtime's words; None is ``device``.
    """

    format: ExportFormat
    device: str = "cpu"
    precision: str = "auto"
    opset: int = OPSET
    check_device: str | None = None


def export_model(
    model: LoadedModel,
    output: str | Path,
    options: ExportOptions,
    *,
    frames: Sequence[npt.NDArray[Any]] = (),
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model directory with a program, checked against PyTorch.

    Args:
        model: A loaded model of kind ``madm`` or ``segformer``. Its network is taken over.
        output: The directory to write. Nothing is there when the check fails.
        options: How to export.
        frames: Images to check with, as ``Segmenter.segment`` takes them; synthetic ones when empty.
        origin: What to say about the source in ``madm.json``, besides its kind and provenance.

    Returns:
        What ``madm.json`` says about the program and its check.

    Raises:
        ConfigError: The model is a program already, or an option is unknown.
        MissingDependencyError: The format needs a package that is not installed.
        DeviceError: The device is not there.
        WorkError: The program gives other labels than PyTorch.
    """
    if model.network.fixed_size:
        raise ConfigError(
            "an exported program cannot be exported again",
            got=f"a network of kind {model.kind!r}",
            expected="the model directory that it was made of",
        )
    if options.format not in FILES:
        raise ConfigError("unknown export format", got=repr(options.format), expected=", ".join(FILES))
    classes, parameters = model.network.classes, model.network.parameter_count
    deployment = model.network.deploy(options.device, options.precision)
    network = deployment.run
    if not isinstance(network, nn.Module):
        raise ConfigError("only PyTorch networks can be exported", got=f"one that is run by {deployment.runtime}")
    images = [_network_image(frame, model.image_size) for frame in frames] or synthetic_images(model.image_size)

    def fill(directory: Path) -> dict[str, Any]:
        file = directory / FILES[options.format]
        made_with = _write(network, deployment, model.image_size, file, options)
        opset = options.opset if options.format in ("onnx", "tensorrt") else None
        facts = ProgramFacts(file.name, classes, parameters, deployment.precision, made_with, opset)
        described = {"program": facts.to_dict()}
        logger.info("checking %s with %d %s frames", file.name, len(images), "given" if frames else "synthetic")
        loaded = load_program(directory, options.format, model.image_size, described)
        same = same_labels(deployment, loaded.deploy(options.check_device or options.device, "auto"), images)
        if same < SAME_LABELS:
            raise WorkError(
                "the exported program gives other labels than PyTorch",
                got=f"the same label on {100 * same:.2f} % of pixels",
                expected=f"{100 * SAME_LABELS:g} % or more",
                do="export with --precision fp32, or another format or --opset",
            )
        check = {"same_labels": round(same, 6), "frames": len(images), "given": bool(frames)}
        source = {"network": model.kind, "provenance": dict(model.description.get("provenance", {})), **(origin or {})}
        return {**described, "check": check, "exported_from": source}

    header = ModelHeader(options.format, model.modality, model.label_set, model.image_size, model.input_statistics)
    description = read_description(write_model_directory(output, header, classes=classes, version=2, fill=fill))
    return {key: description[key] for key in ("program", "check", "exported_from")}


def same_labels(one: Deployment, other: Deployment, images: Sequence[Tensor]) -> float:
    """Share of pixels to which two networks give the same label, over (1, 3, h, w) images."""
    agreeing = []
    for image in images:
        labels = [_labels(deployment, image) for deployment in (one, other)]
        agreeing.append(float((labels[0] == labels[1]).float().mean()))
    return float(np.mean(agreeing))


def synthetic_images(image_size: tuple[int, int]) -> list[Tensor]:
    """(1, 3, h, w) images in [0, 1] with large and small structures, always the same."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for coarse in range(2, 2 + _SYNTHETIC_FRAMES):
        image = torch.zeros((1, 3, *image_size))
        for level in range(coarse, coarse + 4):
            noise = torch.rand((1, 3, 2**level, 2**level), generator=generator)
            image += interpolate(noise, size=image_size, mode="bilinear", align_corners=False) / 4
        images.append(image)
    return images


@torch.inference_mode()
def _labels(deployment: Deployment, image: Tensor) -> Tensor:
    return deployment.run(image.to(deployment.device)).argmax(dim=1).cpu()


def _network_image(frame: npt.NDArray[Any], image_size: tuple[int, int]) -> Tensor:
    return resize_image(image_tensor(frame, torch.device("cpu")), image_size)


def _write(
    network: nn.Module, deployment: Deployment, image_size: tuple[int, int], file: Path, options: ExportOptions
) -> str:
    """Write the program; the exporter and its version, for people."""
    device = deployment.device
    if options.format == "onnx":
        return write_onnx(network, image_size, device, file, options.opset)
    if options.format == "tensorrt":
        return write_engine(network, image_size, device, file, options.opset, deployment.precision)
    return write_torch_program(network, image_size, device, file, options.format)
