"""The MADM network in the form in which it runs after training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from madm_core.model.precision import Precision, weights_dtype

if TYPE_CHECKING:
    from madm_core.model.madm import MadmNetwork


def deployed_form(network: MadmNetwork, device: torch.device, precision: Precision) -> nn.Module:
    """The fastest form of a network for a device and precision: (B, 3, h, w) images -> (B, classes, h, w) logits.

    Args:
        network: The network in evaluation mode; it is changed in place.
        device: Where to run.
        precision: How to run.
    """
    reference = precision == "reference_amp"
    network.backbone.shared_noise.round_to_half = reference
    if not reference:
        network.fold_head()
    network.cast(weights_dtype(precision)).to(device)
    return _Logits(network, mixed=reference)


class _Logits(nn.Module):
    """The network's logits and nothing else.

    Args:
        network: The network, where it shall run.
        mixed: Run in float16 autocast, as the reference does.
    """

    def __init__(self, network: nn.Module, *, mixed: bool) -> None:
        super().__init__()
        self.network = network
        self.mixed = mixed

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.float16, enabled=self.mixed):
            logits: Tensor = self.network(images).logits
            return logits
