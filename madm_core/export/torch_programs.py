"""Networks as programs of PyTorch itself: TorchScript files and torch.export files."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from madm_core.errors import ModelDirectoryError
from madm_core.export.onnx import quiet_exporter
from madm_core.export.program import ProgramFacts, ProgramModule, example_images, stored_precision
from madm_core.model.network import Deployment, NetworkKind
from madm_core.model.precision import choose_device


def write_torch_program(
    network: nn.Module,
    image_size: tuple[int, int],
    device: torch.device,
    file: Path,
    kind: Literal["torchscript", "torch-export"],
) -> str:
    """Write a network for one image size and batch 1; which exporter did it, for people.

    Args:
        network: What ``Deployment.run`` is for a PyTorch network.
        image_size: (height, width) of its images.
        device: Where the network is.
        file: Where to.
        kind: The format: TorchScript, which C++ programs with libtorch load too, or torch.export.
    """
    module, images = ProgramModule(network), example_images(image_size, device)
    with quiet_exporter(), torch.no_grad():
        if kind == "torchscript":
            script = torch.jit.trace(module, (images,), check_trace=False)
            torch.jit.freeze(script.eval()).save(str(file))
        else:
            torch.export.save(torch.export.export(module, (images,), strict=False), file)
    return f"torch.{'jit.trace' if kind == 'torchscript' else 'export'} of PyTorch {torch.__version__}"


@contextmanager
def weights_only() -> Iterator[None]:
    """Within it ``torch.load`` refuses code: torch.export by itself tries again with all that a pickle can do."""
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        yield
    finally:
        del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        if before is not None:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


class TorchProgram:
    """A TorchScript or torch.export file.

    Args:
        file: The program.
        facts: What its model directory says about it.
        kind: Its format.
    """

    fixed_size = True

    def __init__(self, file: Path, facts: ProgramFacts, kind: NetworkKind) -> None:
        self._file = file
        self._facts = facts
        self._kind = kind
        self.classes = facts.classes
        self.parameter_count = facts.parameters

    def deploy(self, device: str, precision: str) -> Deployment:
        """See :class:`madm_core.model.network.SegmentationNetwork`."""
        place, chosen = choose_device(device), stored_precision(self._facts, precision)
        try:
            with quiet_exporter():
                module = self._load(place)
        except (RuntimeError, ValueError, OSError, KeyError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
            raise ModelDirectoryError(
                f"cannot load {self._file}",
                got=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
                expected=f"a program that PyTorch {torch.__version__} can read ({self._facts.made_with} made it)",
                do="export the model again with the PyTorch that shall run it",
            ) from error
        return Deployment(_Contiguous(module), place, chosen, f"{self._kind} program, PyTorch")

    def _load(self, device: torch.device) -> nn.Module:
        if self._kind == "torchscript":
            script: nn.Module = torch.jit.load(str(self._file), map_location=device)
            return script
        with weights_only():
            program = torch.export.load(self._file)
        if device.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        module: nn.Module = program.module()
        return module


class _Contiguous(nn.Module):
    """Programs are recorded for contiguous images."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.program(images.contiguous())
        return logits
