"""A base's U-Net and autoencoder for one noise level and one prompt, built of folded layers (folded_layers.py)."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import silu

from madm_core.model.condition import Condition
from madm_core.model.diffusion_backbone import FEATURE_BLOCKS
from madm_core.model.folded_layers import (
    DoublingConvolution,
    FoldedResnet,
    FoldedTransformer,
    HalvingConvolution,
    ImageAttention,
    joined_convolution,
    wide,
)


class FoldedUNet(nn.Module):
    """A U-Net at a constant time with a constant prompt; its output is ready for the autoencoder's decoder.

    Args:
        unet: The U-Net; its weights are shared. An active adapter stays active only with ``joined`` False.
        vae: The autoencoder, whose 1x1 convolution before the decoder is joined with the U-Net's last one. None leaves
            the output a latent.
        condition: The prompt and the time residual.
        timestep: The noise level.
        joined: Join the projections of self-attention, which copies them.
    """

    @torch.no_grad()
    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL | None,
        condition: Condition,
        *,
        timestep: int = 0,
        joined: bool = True,
    ) -> None:
        super().__init__()
        time = _time_embedding(unet, condition, timestep)
        context = wide(condition.context)

        def layers(block: nn.Module) -> nn.ModuleList:
            attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)  # type: ignore[arg-type]
            return nn.ModuleList(
                nn.Sequential(
                    FoldedResnet(resnet, time),
                    *([] if attention is None else [FoldedTransformer(attention, context, joined=joined)]),
                )
                for resnet, attention in zip(block.resnets, attentions, strict=True)  # type: ignore[arg-type]
            )

        self.conv_in = unet.conv_in
        self.down = nn.ModuleList(layers(block) for block in unet.down_blocks)
        self.halving = nn.ModuleList(block.downsamplers[0].conv for block in unet.down_blocks if block.downsamplers)
        middle = unet.mid_block
        self.middle = nn.Sequential(FoldedResnet(middle.resnets[0], time))
        for attention, resnet in zip(middle.attentions, middle.resnets[1:], strict=True):
            self.middle.append(FoldedTransformer(attention, context, joined=joined))
            self.middle.append(FoldedResnet(resnet, time))
        self.up = nn.ModuleList(layers(block) for block in unet.up_blocks)
        self.doubling = nn.ModuleList(
            DoublingConvolution(block.upsamplers[0].conv, any_size=True) for block in unet.up_blocks if block.upsamplers
        )
        self.norm_out = unet.conv_norm_out
        self.conv_out = unet.conv_out
        if vae is not None:
            scale = 1.0 / float(vae.config.scaling_factor)
            self.conv_out = joined_convolution(unet.conv_out, vae.post_quant_conv, between=scale)

    def forward(self, latents: Tensor) -> tuple[list[Tensor], Tensor]:
        """(B, 4, h, w) noisy latents -> the features of positions 5, 8 and 11, coarsest first, and (B, 4, h, w)."""
        hidden = self.conv_in(latents)
        skips = [hidden]
        for index, block in enumerate(self.down):
            for layer in block:  # type: ignore[attr-defined]
                hidden = layer(hidden)
                skips.append(hidden)
            if index < len(self.halving):
                hidden = self.halving[index](hidden)
                skips.append(hidden)
        hidden = self.middle(hidden)
        features: list[Tensor] = []
        for index, block in enumerate(self.up):
            for layer in block:  # type: ignore[attr-defined]
                hidden = layer(torch.cat([hidden, skips.pop()], dim=1))
            if index in FEATURE_BLOCKS:
                features.append(hidden)
            if index < len(self.doubling):
                hidden = self.doubling[index](hidden, skips[-1].shape[-2:])
        return features, self.conv_out(silu(self.norm_out(hidden)))


class FoldedEncoder(nn.Module):
    """The autoencoder's encoder to the mean of its posterior, times a number.

    Args:
        vae: The autoencoder; its weights are shared.
        scale: What the latents are multiplied with.
    """

    def __init__(self, vae: AutoencoderKL, scale: float) -> None:
        super().__init__()
        encoder: Any = vae.encoder
        self.layers = nn.Sequential(encoder.conv_in)
        for block in encoder.down_blocks:
            self.layers.extend(FoldedResnet(resnet, None) for resnet in block.resnets)
            self.layers.extend(HalvingConvolution(sampler.conv) for sampler in block.downsamplers or ())
        self.layers.extend(_middle(encoder.mid_block))
        self.layers.extend([encoder.conv_norm_out, nn.SiLU()])
        channels = int(vae.config.latent_channels)
        self.layers.append(joined_convolution(encoder.conv_out, vae.quant_conv, after=scale, channels=channels))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 4, H/8, W/8)."""
        latents: Tensor = self.layers(pixels)
        return latents


class FoldedDecoder(nn.Module):
    """The autoencoder's decoder after its 1x1 convolution, which :class:`FoldedUNet` does."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        decoder: Any = vae.decoder
        self.layers = nn.Sequential(decoder.conv_in, *_middle(decoder.mid_block))
        for block in decoder.up_blocks:
            self.layers.extend(FoldedResnet(resnet, None) for resnet in block.resnets)
            self.layers.extend(DoublingConvolution(sampler.conv) for sampler in block.upsamplers or ())
        self.layers.extend([decoder.conv_norm_out, nn.SiLU(), decoder.conv_out])

    def forward(self, latents: Tensor) -> Tensor:
        """(B, 4, h, w) -> (B, 3, 8h, 8w), about [-1, 1]."""
        decoded: Tensor = self.layers(latents)
        return decoded


def why_not_foldable(unet: UNet2DConditionModel) -> str | None:
    """What a U-Net has that the folded layers do not know; None for every Stable Diffusion 1.x or 2.x."""
    for module in unet.modules():
        kind = type(module).__name__
        if kind == "ResnetBlock2D" and (module.time_embedding_norm != "default" or module.skip_time_act):
            return f"time embeddings of kind {module.time_embedding_norm!r}"
        if kind == "BasicTransformerBlock" and (
            module.norm_type != "layer_norm" or module.only_cross_attention or module.pos_embed is not None
        ):
            return f"transformer blocks with {module.norm_type} or positions"
        if kind == "Attention" and (module.norm_q is not None or module.group_norm is not None):
            return "attention with normalised queries"
        if kind == "DualTransformer2DModel":
            return "two prompts"
    return None


def _time_embedding(unet: UNet2DConditionModel, condition: Condition, timestep: int) -> Tensor:
    """(1, width) time embedding with its learned residual."""
    layers: Any = unet.time_embedding
    device = layers.linear_1.weight.device
    projected = unet.time_proj(torch.tensor([timestep], device=device)).to(layers.linear_1.weight.dtype)
    time: Tensor = wide(layers(projected))
    return time + wide(condition.time_residual).to(device).flatten(1)


def _middle(block: Any) -> list[nn.Module]:
    """The autoencoder's blocks at its lowest resolution."""
    layers: list[nn.Module] = [FoldedResnet(block.resnets[0], None)]
    for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
        if attention is not None:
            layers.append(ImageAttention(attention))
        layers.append(FoldedResnet(resnet, None))
    return layers
