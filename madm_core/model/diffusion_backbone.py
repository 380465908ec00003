"""Stable Diffusion as a feature extractor: one denoising step of an image's latents, and its decoded result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D, UpBlock2D
from torch import Tensor, nn

from madm_core.model.condition import Condition
from madm_core.model.noise import SharedNoise
from madm_core.model.stable_diffusion import noise_schedule

LATENT_STRIDE = 8
"""Image pixels a latent pixel, a side, in every Stable Diffusion 1.x autoencoder."""
FEATURE_BLOCKS = (1, 2, 3)
"""Up blocks whose last layer gives a feature: positions 5, 8 and 11 of the twelve (residual, attention) layers."""


def latent_stride(vae: AutoencoderKL) -> int:
    """Image pixels a latent pixel, a side: every level of an autoencoder but the last halves the picture."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


class BackboneOutput(NamedTuple):
    """What the backbone makes of B images of (H, W) pixels; h, w are the latent size, H/stride and W/stride.

    Attributes:
        features: decoded image (B, 3, H, W), then up-path features (B, C11, h, w), (B, C8, h/2, w/2) and
            (B, C5, h/4, w/4); in Stable Diffusion 1.4 their channels are 3, 320, 640 and 1280.
        sample: (B, 4, h, w) U-Net output, to be read as a latent; gradients reach the U-Net through it.
        decoded: (B, 3, H, W) the sample decoded, about [-1, 1] and not clipped; never carries gradients.
    """

    features: tuple[Tensor, Tensor, Tensor, Tensor]
    sample: Tensor
    decoded: Tensor


class DiffusionBackbone(nn.Module):
    """VAE encoder, shared noise, U-Net with features, VAE decoder (algorithm.md 2.2, 2.3 and 3).

    The VAE and the U-Net's output layers (``conv_norm_out``, ``conv_out``) are frozen at construction, as in the
    reference; everything else of the U-Net takes part in training.

    Args:
        unet: A U-Net with Stable Diffusion 1.x' blocks. ``unet.enable_gradient_checkpointing()`` works.
        vae: Its autoencoder.
        scheduler_config: Configuration of the base's scheduler: the noise schedule.
        image_size: (height, width) in pixels that the shared noise is drawn for; multiples of the autoencoder's stride.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        scheduler_config: Mapping[str, Any],
        image_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.scheduler_config = dict(scheduler_config)
        self.unet = unet
        self.vae = vae
        height, width = image_size
        latent_size = (height // self.stride, width // self.stride)
        self.shared_noise = SharedNoise(noise_schedule(scheduler_config), latent_size)
        self.vae.requires_grad_(False)
        self.unet.conv_norm_out.requires_grad_(False)
        self.unet.conv_out.requires_grad_(False)

    @property
    def stride(self) -> int:
        """Image pixels a latent pixel, a side; see :func:`latent_stride`."""
        return latent_stride(self.vae)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Latents of images: the posterior's mean, scaled, never sampled.

        Args:
            pixels: (B, 3, H, W) in [-1, 1].

        Returns:
            (B, 4, h, w) in the VAE's type, without gradients.
        """
        vae = self.vae
        moments = vae.quant_conv(vae.encoder(pixels.to(vae.dtype)))
        latents: Tensor = moments[:, : vae.config.latent_channels] * vae.config.scaling_factor
        return latents

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images of latents: (B, 4, h, w) -> (B, 3, H, W) about [-1, 1], not clipped, without gradients."""
        vae = self.vae
        scaled = latents.detach().to(vae.dtype) * (1 / vae.config.scaling_factor)
        decoded: Tensor = vae.decoder(vae.post_quant_conv(scaled))
        return decoded

    def denoise(self, latents: Tensor, timesteps: Tensor, condition: Condition) -> tuple[list[Tensor], Tensor]:
        """One U-Net pass.

        Args:
            latents: (B, 4, h, w) noisy latents.
            timesteps: (B,) integers.
            condition: Prompt and time residual, each with a batch of 1 or B.

        Returns:
            The features after up-path positions 5, 8 and 11, coarsest first: (B, C5, h/4, w/4), (B, C8, h/2, w/2),
            (B, C11, h, w); and the sample (B, 4, h, w).
        """
        unet = self.unet
        batch = latents.shape[0]
        hidden = latents.to(unet.dtype)
        time = unet.time_embedding(unet.time_proj(timesteps).to(unet.dtype))
        time = time + condition.time_residual.to(time.dtype).flatten(1)
        context = condition.context.to(unet.dtype).expand(batch, -1, -1)

        hidden = unet.conv_in(hidden)
        skips: tuple[Tensor, ...] = (hidden,)
        for block in unet.down_blocks:
            hidden, block_skips = block(hidden, time, **_context_of(block, context))
            skips += block_skips
        hidden = unet.mid_block(hidden, time, encoder_hidden_states=context)

        features: list[Tensor] = []
        for index, block in enumerate(unet.up_blocks):
            layers = len(block.resnets)
            block_skips, skips = skips[-layers:], skips[:-layers]
            hidden = self._up_layers(block, hidden, block_skips, time, context)
            if index in FEATURE_BLOCKS:
                features.append(hidden)
            for upsampler in block.upsamplers or ():
                # The next skip's size, so that latent sizes that are not multiples of 8 work too.
                hidden = upsampler(hidden, skips[-1].shape[-2:])
        sample: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))
        return features, sample

    @staticmethod
    def _up_layers(
        block: UpBlock2D | CrossAttnUpBlock2D, hidden: Tensor, skips: tuple[Tensor, ...], time: Tensor, context: Tensor
    ) -> Tensor:
        """Run an up block's (residual, attention) layers, without its upsampler.

        diffusers' own ``forward`` of the block goes on through the upsampler, after which the feature is lost.
        """
        checkpointed = torch.is_grad_enabled() and block.gradient_checkpointing
        attentions = getattr(block, "attentions", None)
        for index, resnet in enumerate(block.resnets):
            hidden = torch.cat([hidden, skips[-1 - index]], dim=1)
            hidden = block._gradient_checkpointing_func(resnet, hidden, time) if checkpointed else resnet(hidden, time)
            if attentions is not None:
                hidden = attentions[index](hidden, encoder_hidden_states=context, return_dict=False)[0]
        return hidden

    def forward(self, image: Tensor, timestep: int | Tensor, condition: Condition) -> BackboneOutput:
        """Features of images.

        Args:
            image: (B, 3, H, W) in [0, 1]; H and W multiples of :attr:`stride`.
            timestep: Noise level of 0..T-1: one for all images, or (B,) integers.
            condition: What :class:`madm_core.model.condition.PromptCondition` gives.
        """
        timesteps = torch.as_tensor(timestep, device=image.device).expand(image.shape[0])
        latents = self.shared_noise(self.encode(image.float() * 2 - 1), timesteps)
        (coarse, middle, fine), sample = self.denoise(latents, timesteps, condition)
        decoded = self.decode(sample)
        return BackboneOutput((decoded, fine, middle, coarse), sample, decoded)


def _context_of(block: nn.Module, context: Tensor) -> Mapping[str, Tensor]:
    """The keyword arguments by which a U-Net block gets the prompt, if it reads one."""
    return {"encoder_hidden_states": context} if getattr(block, "has_cross_attention", False) else {}
