"""Cheaper autoencoders for running a trained network: a decoder in half precision, or a tiny one in the same latents.

The autoencoder is the larger half of the work of one image, and it is never trained. ``AutoencoderTiny`` (Bohan 2023,
``madebyollin/taesd``) was distilled from Stable Diffusion's own and works on the same latents. The network was not
trained with it: measure what it costs in quality on your own data (``evaluate_bag``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from diffusers import AutoencoderTiny
from torch import Tensor, nn

from madm_core.errors import BaseModelError, ConfigError
from madm_core.model.hub import cached_or_downloaded, looks_like_hub_id
from madm_core.model.stable_diffusion import load_component

TinyParts = Literal["both", "encoder", "decoder"]
_FILES = ["config.json", "diffusion_pytorch_model.safetensors"]


@dataclass(frozen=True)
class AutoencoderOptions:
    """Changes to a model's autoencoder at inference; the defaults change nothing.

    Args:
        decoder_precision: Number format of the decoder alone: ``same`` as the network, ``fp32``, ``bf16`` or ``fp16``.
        tiny: Hub id or directory of an ``AutoencoderTiny``; empty keeps the model's own autoencoder.
        tiny_parts: What it replaces: ``both``, ``encoder`` or ``decoder``.

    Raises:
        ConfigError: An option is unknown.
    """

    decoder_precision: str = "same"
    tiny: str = ""
    tiny_parts: str = "both"

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.decoder_precision, ("same", "fp32", "bf16", "fp16"), "precision of the decoder"),
            (self.tiny_parts, get_args(TinyParts), "part of the autoencoder"),
        ):
            if value not in allowed:
                raise ConfigError(f"unknown {what}", got=repr(value), expected=", ".join(allowed))

    def describe(self) -> str:
        """The changes in words; empty when there are none."""
        parts = [f"decoder in {self.decoder_precision}"] if self.decoder_precision != "same" else []
        if self.tiny:
            part = "autoencoder" if self.tiny_parts == "both" else self.tiny_parts
            parts.append(f"tiny {part} {self.tiny}")
        return ", ".join(parts)


class TinyEncoder(nn.Module):
    """A tiny autoencoder's encoder: (B, 3, H, W) in [-1, 1] -> (B, 4, H/8, W/8) latents times ``scale``."""

    def __init__(self, tiny: AutoencoderTiny, scale: float) -> None:
        super().__init__()
        self.encoder = tiny.encoder
        self.scale = scale * float(tiny.config.scaling_factor)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        latents: Tensor = self.encoder(pixels) * self.scale
        return latents


class TinyDecoder(nn.Module):
    """A tiny autoencoder's decoder: (B, 4, h, w) latents -> (B, 3, 8h, 8w), about [-1, 1]."""

    def __init__(self, tiny: AutoencoderTiny) -> None:
        super().__init__()
        self.decoder = tiny.decoder
        self.scale = 1.0 / float(tiny.config.scaling_factor)

    def forward(self, latents: Tensor) -> Tensor:
        """See the class."""
        decoded: Tensor = self.decoder(latents * self.scale)
        return decoded


def load_tiny_autoencoder(path_or_hub_id: str, levels: int = 4) -> AutoencoderTiny:
    """A tiny autoencoder in Stable Diffusion 1.x' latents, from disk, the local cache or the hub, in this order.

    Args:
        path_or_hub_id: A diffusers directory, or where one is found.
        levels: Of the autoencoder that it stands in for: as many, or the latents would have another size.

    Raises:
        BaseModelError: It is missing, damaged or not one of that kind.
    """
    directory = Path(path_or_hub_id).expanduser()
    if not directory.is_dir():
        if not looks_like_hub_id(path_or_hub_id):
            raise BaseModelError(
                f"there is no tiny autoencoder at {path_or_hub_id}",
                expected="a diffusers directory of an AutoencoderTiny, or a hub id like madebyollin/taesd",
                do="check the path",
            )
        directory = cached_or_downloaded(
            path_or_hub_id, _FILES, lambda cached: all((cached / name).is_file() for name in _FILES)
        )
    tiny = load_component(AutoencoderTiny, directory).requires_grad_(False)
    latents, found = tiny.config.latent_channels, len(tiny.config.encoder_block_out_channels)
    if (latents, found) != (4, levels):
        raise BaseModelError(
            f"the tiny autoencoder {path_or_hub_id} does not fit",
            got=f"{latents} latent channels, {found} levels",
            expected=f"4 latent channels and {levels} levels",
        )
    return tiny
