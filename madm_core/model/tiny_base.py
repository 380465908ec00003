"""A very small Stable-Diffusion-shaped base with random weights, for tests, the demo and quick trials.

It has everything that a real base directory has (``vae/``, ``unet/``, ``text_encoder/``, ``tokenizer/``,
``scheduler/``), in diffusers' layout and with Stable Diffusion 1.x' block types, so every line of code that runs on it
also runs on the real one. Its weights know nothing: only a model trained on top of it is good for anything.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

from madm_core.errors import ConfigError

_TOKENS = 77
"""Length of a CLIP prompt (Radford et al. 2021)."""


def write_tiny_base(
    directory: str | Path,
    *,
    seed: int = 0,
    unet_channels: tuple[int, int, int, int] = (16, 16, 32, 32),
    vae_channels: tuple[int, ...] = (8, 8, 16, 16),
    text_width: int = 16,
    attention_heads: int = 2,
    norm_groups: int = 4,
    layers_per_block: int = 2,
) -> Path:
    """Write a random-weight base model directory in diffusers' layout and return its path.

    The variational autoencoder, of four levels, reduces images by 8 to 4 channels and the U-Net has the block types of
    Stable Diffusion 1.x; the noise schedule is theirs too. The same ``seed`` always gives the same weights. PyTorch's
    global random state is left as it was.

    Args:
        directory: Where to write; made when missing. Files of the same names are overwritten.
        seed: Seed of the weights.
        unet_channels: Channels of the four U-Net levels, finest first; each a multiple of ``norm_groups`` and
            ``attention_heads``.
        vae_channels: Channels of the autoencoder levels, finest first; each a multiple of ``norm_groups``. Four levels,
            as Stable Diffusion has, reduce by 8, three by 4.
        text_width: Width of the text encoder, which is the U-Net's cross-attention width; a multiple of
            ``attention_heads``.
        attention_heads: Attention heads of the U-Net and of the text encoder.
        norm_groups: Groups of every group normalisation in U-Net and autoencoder.
        layers_per_block: Residual layers per level. 2 is what Stable Diffusion 1.x has and what MADM needs.

    Raises:
        ConfigError: A width is not a multiple of ``norm_groups`` or ``attention_heads``.
    """
    for name, widths, divisor in (
        ("unet_channels", unet_channels, norm_groups),
        ("unet_channels", unet_channels, attention_heads),
        ("vae_channels", vae_channels, norm_groups),
        ("text_width", (text_width,), attention_heads),
    ):
        if any(width % divisor for width in widths):
            raise ConfigError(f"{name} of the tiny base", got=widths, expected=f"multiples of {divisor}")
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=unet_channels,
            layers_per_block=layers_per_block,
            cross_attention_dim=text_width,
            attention_head_dim=attention_heads,  # a misnomer of diffusers: Stable Diffusion 1.x' head count
            norm_num_groups=norm_groups,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * len(vae_channels),
            up_block_types=("UpDecoderBlock2D",) * len(vae_channels),
            block_out_channels=vae_channels,
            layers_per_block=layers_per_block,
            latent_channels=4,
            norm_num_groups=norm_groups,
            sample_size=512,
            scaling_factor=0.18215,
        )
        _write_text_encoder(target / "text_encoder", width=text_width, heads=attention_heads)
    unet.save_pretrained(target / "unet")
    vae.save_pretrained(target / "vae")
    DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000
    ).save_pretrained(target / "scheduler")
    _write_tokenizer(target / "tokenizer")
    return target


def _write_text_encoder(directory: Path, *, width: int, heads: int) -> None:
    """Write a one-layer CLIP text encoder with random weights."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=1,
        num_attention_heads=heads,
        max_position_embeddings=_TOKENS,
        bos_token_id=512,
        eos_token_id=513,
    )
    CLIPTextModel(config).save_pretrained(directory)


def _vocabulary() -> dict[str, int]:
    """CLIP's byte-level vocabulary without any merged word: 256 bytes, the same at a word's end, begin and end."""
    from tokenizers.pre_tokenizers import ByteLevel

    bytes_as_text = sorted(ByteLevel.alphabet())
    words = [*bytes_as_text, *(f"{text}</w>" for text in bytes_as_text), "<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def _write_tokenizer(directory: Path) -> None:
    """Write a CLIP tokenizer that knows single bytes only."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps(_vocabulary(), ensure_ascii=False), encoding="utf-8")
    (directory / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": _TOKENS,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
