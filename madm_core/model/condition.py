"""The learned text condition: no captions and no class names, one free prompt shared by source and target images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Condition(NamedTuple):
    """What the U-Net is conditioned on besides the noise level.

    Attributes:
        context: (1, tokens, width) prompt that the U-Net's cross-attention reads.
        time_residual: (1, 1, time width), added to the time embedding after its two linear layers.
    """

    context: Tensor
    time_residual: Tensor


class PromptCondition(nn.Module):
    """Blends the empty prompt's embedding with a learned one through learned gates (algorithm.md 2.1).

    ``context = tanh(a) * unconditional + tanh(b) * prompt`` and ``time_residual = tanh(c) * time``, with every gate a
    free tensor of the shape of what it gates. The time gate starts at 0, so training starts at the pretrained U-Net's
    own time embedding.

    Args:
        unconditional: (1, tokens, width) embedding of the empty prompt. Kept as a buffer and saved with the weights, so
            that no text encoder is needed to run the network.
        time_width: Width of the U-Net's time embedding.
        generator: Source of the random initial values; PyTorch's global one when None.
    """

    unconditional: Tensor

    def __init__(self, unconditional: Tensor, time_width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        shape = tuple(unconditional.shape)
        self.register_buffer("unconditional", unconditional.detach().clone().float())
        self.prompt = nn.Parameter(0.02 * torch.randn(shape, generator=generator))
        self.prompt_gate = nn.Parameter(torch.rand(shape, generator=generator))
        self.unconditional_gate = nn.Parameter(torch.rand(shape, generator=generator))
        self.time = nn.Parameter(0.02 * torch.randn((1, 1, time_width), generator=generator))
        self.time_gate = nn.Parameter(torch.zeros(time_width))

    def forward(self) -> Condition:
        """The condition for one image; it is the same for every image of a batch."""
        context = self.unconditional_gate.tanh() * self.unconditional + self.prompt_gate.tanh() * self.prompt
        return Condition(context, self.time_gate.tanh() * self.time)
