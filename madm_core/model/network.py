"""What a ``Segmenter`` runs: the one interface of all kinds of networks, and the kinds by name.

A model directory says in ``madm.json`` under ``"network"`` which kind it holds. ``madm`` (also when nothing is said) is
the full diffusion network, :class:`madm_core.model.madm.MadmNetwork`; ``segformer`` is a distilled student; the others
are programs that ``export_model`` made of either. ``madm_core.model_directory.load_model_directory`` is the only place
that chooses by kind; everything after it uses the interface below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from madm_core.model.precision import Precision

NetworkKind = Literal["madm", "segformer", "onnx", "torchscript", "torch-export", "tensorrt"]

CODE_KINDS: frozenset[NetworkKind] = frozenset({"torchscript", "torch-export", "tensorrt"})
"""Formats that can hold more than weights and a graph of known operators: whoever made such a file is trusted."""


@dataclass(frozen=True)
class Deployment:
    """A network that is ready to run on one device: weights moved, converted and folded, nothing left to train.

    Attributes:
        run: (B, 3, h, w) float32 images in [0, 1] on ``device`` -> (B, classes, h, w) logits of any float type there.
            An ``nn.Module`` can be compiled and exported; a program (ONNX ...) is any other callable.
        device: Where images are put.
        precision: The number format that it runs in.
        runtime: What runs it, for people: ``PyTorch``, ``onnxruntime, CPUExecutionProvider`` ...
    """

    run: Callable[[Tensor], Tensor]
    device: torch.device
    precision: Precision
    runtime: str = "PyTorch"


class SegmentationNetwork(Protocol):
    """A loaded network of any kind, before it is put on a device."""

    @property
    def classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def fixed_size(self) -> bool:
        """Whether it runs one image of the model directory's size at a time and nothing else, as programs do."""
        ...

    @property
    def parameter_count(self) -> int:
        """Number of weights, for people."""
        ...

    def deploy(self, device: str, precision: str) -> Deployment:
        """Make it ready to run. It may be changed in place, and be neither trained nor saved afterwards.

        Args:
            device: What the user asked for: ``auto``, ``cpu``, ``cuda``, ``cuda:N``; programs know more.
            precision: What the user asked for: ``auto``, ``fp32``, ``bf16`` ...

        Raises:
            ConfigError: There is no such precision, or a program was stored in another one.
            DeviceError: The device is not there, cannot run the network or its precision, or has too little memory.
                There is no fallback.
            MissingDependencyError: The program needs a package that is not installed.
        """
        ...
