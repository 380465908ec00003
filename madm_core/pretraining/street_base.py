"""``madm-street-base``: pictures -> autoencoder -> text-to-image model, stage by stage, in diffusers' directory
layout."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from madm_core.config import to_mapping
from madm_core.model.stored_base import save_part
from madm_core.model.tiny_base import write_tiny_base
from madm_core.pretraining.autoencoder import AutoencoderTraining, palette_recovery, train_autoencoder
from madm_core.pretraining.latent_diffusion import DiffusionTraining, TextToImage, train_latent_diffusion
from madm_core.pretraining.pictures import Pictures, load_pictures
from madm_core.progress import duration

_LOG = logging.getLogger(__name__)
_HELD_OUT = 40
"""Pictures, the last ones, on which palette recovery is measured and which no stage trains on."""


@dataclass(frozen=True)
class StreetBaseTraining:
    """Sizes and length of the whole training.

    Args:
        pictures: Number of rendered pictures.
        height: Height of a picture in pixels, a multiple of 64.
        width: Width of a picture in pixels, a multiple of 64.
        vae_channels: Channels of the autoencoder's levels, finest first; every level but the last halves the picture.
            Three levels (f = 4) leave a street of 64x128 pixels as many latents as Stable Diffusion's four leave
            one of 128x256.
        unet_channels: Channels of the U-Net's four levels, finest first.
        text_width: Width of the text encoder and the cross-attention.
        autoencoder: The first stage: compress pictures of all kinds.
        refinement: The second stage, from there on: mostly palette pictures, thin classes count more.
        diffusion: The third stage.
        seed: Seed of the pictures and of the initial weights.
    """

    pictures: int = 1800
    height: int = 128
    width: int = 256
    vae_channels: tuple[int, ...] = (16, 32, 64)
    unet_channels: tuple[int, int, int, int] = (32, 64, 96, 96)
    text_width: int = 64
    autoencoder: AutoencoderTraining = field(default_factory=AutoencoderTraining)
    refinement: AutoencoderTraining = field(
        default_factory=lambda: AutoencoderTraining(
            steps=2000,
            palettes=4,
            reductions=(1, 2, 2),
            learning_rate=1e-3,
            palette_weight=0.5,
            class_balance=0.5,
            seed=1,
        )
    )
    diffusion: DiffusionTraining = field(default_factory=DiffusionTraining)
    seed: int = 0


def train_street_base(directory: Path, settings: StreetBaseTraining) -> dict[str, Any]:
    """Trains what is not there yet and returns (and writes to ``training.json``) what was measured.

    Args:
        directory: Becomes the base; ``work/`` in it holds the pictures and the finished stages, so that an interrupted
            training goes on after its last finished stage.
        settings: See there.
    """
    work, began = directory / "work", time.monotonic()
    size = (settings.height, settings.width)
    pictures = load_pictures(
        work / f"pictures_{settings.pictures}_{settings.height}x{settings.width}_{settings.seed}.npz",
        count=settings.pictures,
        size=size,
        seed=settings.seed,
        progress=lambda done: _say_now_and_then("pictures", done, settings.pictures, {}, began),
    )
    training, held_out = _split(pictures)
    _write_untrained(directory, settings)
    measured: dict[str, Any] = {"settings": to_mapping(settings)}

    autoencoder = AutoencoderKL.from_pretrained(directory / "vae")
    for name, stage in (("autoencoder", settings.autoencoder), ("refinement", settings.refinement)):
        measured[name] = _stage(
            work / name,
            autoencoder,
            partial(train_autoencoder, autoencoder, training, stage),
            stage.steps,
        )
    measured["palette_recovery"] = {}
    for by in sorted(set(settings.refinement.reductions)):
        share, of_classes = palette_recovery(autoencoder, held_out.reduced(by).labels)
        _LOG.info("palette recovery on held-out streets, reduced %d times: %.1f %% of pixels", by, 100 * share)
        measured["palette_recovery"][f"pictures / {by}"] = {"pixels": share, "classes": of_classes}
    save_part(autoencoder, directory / "vae")

    model = TextToImage(
        autoencoder,
        UNet2DConditionModel.from_pretrained(directory / "unet"),
        CLIPTextModel.from_pretrained(directory / "text_encoder"),
        CLIPTokenizer.from_pretrained(directory / "tokenizer"),
        DDPMScheduler.from_pretrained(directory / "scheduler"),
    )
    both = torch.nn.ModuleDict({"unet": model.unet, "text_encoder": model.text_encoder})
    measured["diffusion"] = _stage(
        work / "diffusion",
        both,
        lambda report: train_latent_diffusion(model, training, settings.diffusion, report),
        settings.diffusion.steps,
    )
    save_part(model.unet, directory / "unet")
    model.text_encoder.save_pretrained(directory / "text_encoder")
    (directory / "training.json").write_text(json.dumps(measured, indent=2), encoding="utf-8")
    return measured


def _split(pictures: Pictures) -> tuple[Pictures, Pictures]:
    def part(which: slice) -> Pictures:
        return Pictures(pictures.images[which], pictures.labels[which], pictures.conditions[which])

    return part(slice(None, -_HELD_OUT)), part(slice(-_HELD_OUT, None))


def _write_untrained(directory: Path, settings: StreetBaseTraining) -> None:
    write_tiny_base(
        directory,
        seed=settings.seed,
        unet_channels=settings.unet_channels,
        text_width=settings.text_width,
        attention_heads=2,
        norm_groups=8,
    )
    # One residual layer a level is enough for synthetic pictures and halves the time of every forward pass.
    torch.manual_seed(settings.seed)
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(settings.vae_channels),
        up_block_types=("UpDecoderBlock2D",) * len(settings.vae_channels),
        block_out_channels=settings.vae_channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=settings.width,
    ).save_pretrained(directory / "vae")


def _stage(
    done: Path,
    module: torch.nn.Module,
    train: Callable[[Callable[[int, dict[str, float]], None]], None],
    steps: int,
) -> dict[str, Any]:
    """Trains a module, or loads it when this stage was finished before; returns its last mean losses and seconds."""
    weights, record = done.with_suffix(".safetensors"), done.with_suffix(".json")
    if record.is_file():
        module.load_state_dict(load_file(weights))
        _LOG.info("%s: finished before, taken from %s", done.name, weights)
    else:
        recent: list[dict[str, float]] = []
        began = time.monotonic()

        def report(step: int, losses: dict[str, float]) -> None:
            recent.append(losses)
            if len(recent) > 100:
                recent.pop(0)
            _say_now_and_then(done.name, step, steps, _means(recent), began)

        train(report)
        save_file({name: value.contiguous() for name, value in module.state_dict().items()}, weights)
        measured = {"losses": _means(recent), "seconds": round(time.monotonic() - began)}
        if isinstance(module, AutoencoderKL):
            measured["scaling_factor"] = module.config.scaling_factor
        record.write_text(json.dumps(measured), encoding="utf-8")
    measured = json.loads(record.read_text(encoding="utf-8"))
    if isinstance(module, AutoencoderKL):
        module.register_to_config(scaling_factor=measured["scaling_factor"])
    module.eval()
    return dict(measured)


def _means(losses: list[dict[str, float]]) -> dict[str, float]:
    if not losses:  # a stage of no steps leaves the weights as they were made
        return {}
    return {name: round(sum(entry[name] for entry in losses) / len(losses), 5) for name in losses[0]}


def _say_now_and_then(what: str, done: int, of: int, values: dict[str, float], began: float) -> None:
    if done and (done % max(1, of // 50) == 0 or done == of):
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        left = duration((time.monotonic() - began) * (of - done) / done)
        _LOG.info("%s: %d of %d%s, about %s left", what, done, of, f" ({numbers})" if numbers else "", left)
