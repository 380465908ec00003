"""BatchNorm's running statistics, which a forward pass changes before anybody knows whether the step can be used."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningStatistics:
    """Those of some modules, to be put back when a step is skipped.

    Args:
        modules: Searched for BatchNorm layers of every kind.
    """

    def __init__(self, *modules: nn.Module) -> None:
        self._buffers = [
            buffer
            for module in modules
            for layer in module.modules()
            if isinstance(layer, nn.modules.batchnorm._BatchNorm)
            for buffer in layer.buffers()
        ]

    def copy(self) -> list[Tensor]:
        """A copy of all of them, for :meth:`put_back`."""
        return [buffer.clone() for buffer in self._buffers]

    @torch.no_grad()
    def put_back(self, copied: list[Tensor]) -> None:
        """What they were when they were copied."""
        for buffer, before in zip(self._buffers, copied, strict=True):
            buffer.copy_(before)
