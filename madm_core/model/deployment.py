"""The MADM network in the form in which it runs after training: everything that no image changes is done once.

Prompt, noise level and noise are constants of a trained network. So are then the time embedding and its part in every
residual block, keys and values of cross-attention, the schedule's coefficients, and the noise times its coefficient.
Batch normalisations are folded (folded_head.py), 1x1 convolutions joined with their neighbours, doublings of the image
made part of the convolutions after them (folded_layers.py), and what only training needs, the latent sample, is not
made. The form computes the network's logits to float rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn.functional import interpolate

from madm_core.errors import ConfigError
from madm_core.model.autoencoder_options import TinyDecoder, TinyEncoder, load_tiny_autoencoder
from madm_core.model.condition import Condition
from madm_core.model.folded_backbone import FoldedDecoder, FoldedEncoder, FoldedUNet, why_not_foldable
from madm_core.model.folded_layers import DoublingConvolution
from madm_core.model.lora import activate_adapter
from madm_core.model.precision import Precision, choose_precision, weights_dtype

if TYPE_CHECKING:
    from madm_core.model.madm import MadmNetwork

logger = logging.getLogger(__name__)


def deployed_form(network: MadmNetwork, device: torch.device, precision: Precision) -> nn.Module:
    """The form of a network to run on a device: (B, 3, h, w) images in [0, 1] -> (B, classes, h, w) logits.

    Args:
        network: The network in evaluation mode. Its parts are used, converted and moved.
        device: Where to run.
        precision: How to run. ``reference_amp`` keeps the network as it is and runs it as the reference did.

    Raises:
        ConfigError: The network's autoencoder shall be changed, and it must run as it is.
        DeviceError: The device cannot run the decoder's own precision.
        BaseModelError: The tiny autoencoder cannot be loaded.
    """
    options = network.autoencoder_options
    problem = why_not_foldable(network.backbone.unet)
    if precision == "reference_amp" or problem is not None:
        if options.describe():
            raise ConfigError(
                "the autoencoder cannot be changed", got=f"precision {precision}" if problem is None else problem
            )
        if problem is not None:
            logger.warning("the base's U-Net has %s: it runs as it is, which is slower", problem)
        network.backbone.shared_noise.round_to_half = precision == "reference_amp"
        network.cast(weights_dtype(precision)).to(device)
        return PlainForm(network, mixed=precision == "reference_amp")
    decoder_precision: Precision = precision
    if options.decoder_precision != "same":
        decoder_precision = choose_precision(options.decoder_precision, device)
    levels = len(network.backbone.vae.config.block_out_channels)
    tiny = load_tiny_autoencoder(options.tiny, levels) if options.tiny else None
    deployed = DeployedMadm(network, tiny, options.tiny_parts)
    return deployed.placed(device, weights_dtype(precision), weights_dtype(decoder_precision))


class PlainForm(nn.Module):
    """The network as it was trained, giving its logits and nothing else.

    Args:
        network: The network, where it shall run.
        mixed: Run in float16 autocast, as the reference does.
    """

    def __init__(self, network: MadmNetwork, *, mixed: bool = False) -> None:
        super().__init__()
        self.network = network
        self.mixed = mixed

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) float32 in [0, 1] -> (B, classes, h, w)."""
        with torch.autocast(images.device.type, torch.float16, enabled=self.mixed):
            logits: Tensor = self.network(images).logits
            return logits


class DeployedMadm(nn.Module):
    """The network with its constants folded.

    Args:
        network: The network in evaluation mode. Its weights are shared where folding does not change them.
        tiny: A tiny autoencoder to use instead of the network's own.
        tiny_parts: What it replaces: ``both``, ``encoder`` or ``decoder``.
    """

    noise: Tensor

    @torch.no_grad()
    def __init__(self, network: MadmNetwork, tiny: AutoencoderTiny | None = None, tiny_parts: str = "both") -> None:
        super().__init__()
        backbone, unet = network.backbone, network.backbone.unet
        adapter = network.adapter
        self._activate: Callable[[], None] = _nothing
        if adapter is not None:  # several networks share the U-Net, each with an adapter of its own
            self._activate = lambda: activate_adapter(unet, adapter)
            self._activate()
        place = unet.conv_in.weight.device
        condition = Condition(*(part.to(place) for part in network.condition()))
        timestep = torch.zeros(1, dtype=torch.long, device=backbone.shared_noise.alphas_cumprod.device)
        signal_share, noise_share = (float(share) for share in backbone.shared_noise.coefficients(timestep))
        self.encoder: nn.Module
        if tiny is not None and tiny_parts != "decoder":
            self.encoder = TinyEncoder(tiny, signal_share)
        else:
            self.encoder = FoldedEncoder(backbone.vae, float(backbone.vae.config.scaling_factor) * signal_share)
        own = tiny is None or tiny_parts == "encoder"
        self.unet = FoldedUNet(unet, backbone.vae if own else None, condition, joined=adapter is None)
        self.decoder = FoldedDecoder(backbone.vae) if tiny is None or own else TinyDecoder(tiny)
        self.projections = network.projections
        self.head = network.fold_head().head
        self.decoder_dtype = next(self.decoder.parameters()).dtype
        self.register_buffer("noise", backbone.shared_noise.noise.double() * noise_share, persistent=False)
        self.eval().requires_grad_(False)

    def placed(
        self, device: torch.device, dtype: torch.dtype, decoder_dtype: torch.dtype | None = None
    ) -> DeployedMadm:
        """Put it on a device in a number format, convolutions' weights in channels-last order; in place.

        Args:
            device: Where to.
            dtype: The number format.
            decoder_dtype: That of the autoencoder's decoder, if it is another one.
        """
        self.to(device=device, dtype=dtype)
        self.decoder.to(decoder_dtype or dtype)
        self.decoder_dtype = decoder_dtype or dtype
        for module in self.modules():
            if isinstance(module, nn.Conv2d | DoublingConvolution):  # and not the keys, whose last axis must stay last
                for weight in module.parameters(recurse=False):
                    if weight.ndim == 4:
                        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) float32 in [0, 1] -> (B, classes, h, w) in the weights' type."""
        self._activate()
        pixels = (images * 2 - 1).to(self.noise.dtype).contiguous(memory_format=torch.channels_last)
        latents = self.encoder(pixels)
        (coarse, middle, fine), sample = self.unet(latents + self._noise_for(latents))
        decoded = self.decoder(sample.to(self.decoder_dtype)).to(sample.dtype)
        logits: Tensor = self.head(self.projections((decoded, fine, middle, coarse)))
        return logits

    def _noise_for(self, latents: Tensor) -> Tensor:
        if self.noise.shape[-2:] == latents.shape[-2:]:
            return self.noise
        return interpolate(self.noise, size=latents.shape[-2:], mode="bicubic", align_corners=False)


def _nothing() -> None:
    return None
