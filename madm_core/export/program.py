"""A network stored as a program: what all formats have in common, and the one place that loads by format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from madm_core.config import from_mapping
from madm_core.errors import ConfigError, MissingDependencyError
from madm_core.model.directory_format import damaged
from madm_core.model.network import NetworkKind, SegmentationNetwork
from madm_core.model.precision import Precision

INPUT, OUTPUT = "images", "logits"
"""Names of a program's input, (1, 3, h, w) float32 in [0, 1], and output, (1, classes, h, w) float32."""


@dataclass(frozen=True)
class ProgramFacts:
    """What ``madm.json`` says about a program under ``"program"``.

    Attributes:
        file: The program, in the model directory.
        classes: Number of classes.
        parameters: Number of weights.
        precision: The number format that its arithmetic is written in.
        made_with: Exporter and its version.
        opset: ONNX operator set; None for other formats.
    """

    file: str
    classes: int
    parameters: int
    precision: str
    made_with: str
    opset: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class ProgramModule(nn.Module):
    """A deployed network as programs store it: float32 in, float32 out.

    Args:
        network: What ``Deployment.run`` is for a PyTorch network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()  # the exporter puts a module back into the mode that it found it in

    def forward(self, images: Tensor) -> Tensor:
        """(1, 3, h, w) -> (1, classes, h, w)."""
        logits: Tensor = self.network(images)
        return logits.float().contiguous()


def example_images(image_size: tuple[int, int], device: torch.device) -> Tensor:
    """The (1, 3, h, w) input that programs are recorded with."""
    return torch.full((1, 3, *image_size), 0.5, device=device)


def load_program(
    directory: Path, kind: NetworkKind, image_size: tuple[int, int], description: Mapping[str, Any]
) -> SegmentationNetwork:
    """The program of a model directory, not yet on a device.

    Raises:
        ModelDirectoryError: The description of the program cannot be understood.
    """
    try:
        facts = from_mapping(ProgramFacts, description["program"], where="the program")
    except (ConfigError, KeyError, TypeError) as error:
        raise damaged(directory, f"madm.json: {type(error).__name__}: {error}") from error
    if Path(facts.file).name != facts.file or facts.file not in description.get("files", [facts.file]):
        raise damaged(directory, f"madm.json: no checksum for the program {facts.file!r}")
    file = directory / facts.file
    if kind == "onnx":
        from madm_core.export.onnx_runtime import OnnxProgram

        return OnnxProgram(file, facts, image_size, description.get("files"))
    if kind == "tensorrt":
        from madm_core.export.tensorrt import TensorRTProgram

        return TensorRTProgram(file, facts)
    from madm_core.export.torch_programs import TorchProgram

    return TorchProgram(file, facts, kind)


def stored_precision(facts: ProgramFacts, precision: str) -> Precision:
    """The precision that a program runs in, if that is what was asked for.

    Raises:
        ConfigError: The program was stored in another one.
    """
    if precision not in ("auto", facts.precision):
        raise ConfigError(
            "an exported program runs in the precision that it was exported in",
            got=f"precision {precision}",
            expected=f"auto or {facts.precision}",
            do=f"export the model again with --precision {precision}",
        )
    return facts.precision  # type: ignore[return-value]


def missing(package: str, needed_for: str, install: str) -> MissingDependencyError:
    """The error for an optional package that is not installed."""
    return MissingDependencyError(
        f"{needed_for} needs {package}", got=f"{package} is not installed", do=f"install it: {install}"
    )
