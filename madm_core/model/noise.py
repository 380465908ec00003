"""The one noise tensor of MADM and how much of it is mixed into the latents at a timestep."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

NOISE_SEED = 42
"""Seed of the shared noise in the reference implementation."""


class SharedNoise(nn.Module):
    """Adds a fixed noise to latents as a diffusion process would at timestep t (algorithm.md 3, step 3).

    The noise is drawn once and shared by all images, iterations and by inference. It is there at t = 0 too: the first
    coefficient of Stable Diffusion's schedule is 0.029, not 0.

    Args:
        alphas_cumprod: (timesteps,) share of the signal's power that is left at each timestep.
        latent_size: (height, width) of the latents that the noise is drawn for. Latents of another size get the noise
            resized bicubically, as the reference does.
        channels: Latent channels.
    """

    noise: Tensor
    alphas_cumprod: Tensor

    def __init__(self, alphas_cumprod: Tensor, latent_size: tuple[int, int], channels: int = 4) -> None:
        super().__init__()
        generator = torch.Generator("cpu").manual_seed(NOISE_SEED)
        self.register_buffer("noise", torch.randn((1, channels, *latent_size), generator=generator))
        self.register_buffer("alphas_cumprod", alphas_cumprod.detach().clone().float(), persistent=False)
        self.round_to_half = False
        """Round the schedule to fp16 first, which is what CUDA autocast made of the reference: at t = 0 the noise
        coefficient becomes 0.03125 instead of 0.02916. Only ``precision: reference_amp`` turns it on."""

    def coefficients(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of signal and noise, each (B, 1, 1, 1) float32, for (B,) integer timesteps."""
        alphas = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        if self.round_to_half:
            alphas = alphas.half().float()
        return alphas.sqrt(), (1 - alphas).sqrt()

    def forward(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        """Mix the noise into the latents.

        Args:
            latents: (B, C, h, w), any float type; the sum is made in float32.
            timesteps: (B,) integers of 0..T-1.

        Returns:
            (B, C, h, w) float32.
        """
        noise = self.noise
        if noise.shape[-2:] != latents.shape[-2:]:
            noise = interpolate(noise, size=latents.shape[-2:], mode="bicubic", align_corners=False)
        signal_share, noise_share = self.coefficients(timesteps)
        return signal_share * latents.float() + noise_share * noise
