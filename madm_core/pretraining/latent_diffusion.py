"""Training of the base's U-Net and text encoder as a text-to-image latent diffusion model (Rombach et al., CVPR
2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from madm_core.model.diffusion_backbone import latent_stride
from madm_core.pretraining.autoencoder import warm_cosine
from madm_core.pretraining.captions import caption
from madm_core.pretraining.pictures import Pictures
from madm_core.pretraining.styles import STYLES, in_style


@dataclass(frozen=True)
class DiffusionTraining:
    """How the diffusion model is trained.

    Args:
        steps: Optimisation steps.
        batch_size: Pictures a step.
        reduction: How many times smaller the sides of the pictures are made.
        crop: (height, width) of the windows cut out of the pictures, multiples of 64; None: whole pictures.
        learning_rate: Peak learning rate; see :func:`~madm_core.pretraining.autoencoder.warm_cosine`.
        unconditional: Share of the captions replaced by the empty prompt, which is the one that MADM conditions on.
        styles: Names of the styles to draw from; None: all.
        seed: Seed of pictures, styles, times and noise.
    """

    steps: int = 2000
    batch_size: int = 8
    reduction: int = 2
    crop: tuple[int, int] | None = None
    learning_rate: float = 1e-3
    unconditional: float = 0.3
    styles: tuple[str, ...] | None = None
    seed: int = 0


@dataclass(frozen=True)
class TextToImage:
    """The parts of a Stable-Diffusion-shaped model."""

    autoencoder: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDPMScheduler


def train_latent_diffusion(
    model: TextToImage,
    pictures: Pictures,
    settings: DiffusionTraining,
    report: Callable[[int, dict[str, float]], None],
) -> None:
    """Trains U-Net and text encoder in place to predict the noise in the latents of captioned pictures.

    Args:
        model: Its autoencoder is trained already and stays as it is.
        pictures: Training pictures.
        settings: See there.
        report: Called after each step with the number of steps done and the loss.
    """
    rng = np.random.default_rng([settings.seed, 13])
    generator = torch.Generator().manual_seed(settings.seed)
    pictures = pictures.reduced(settings.reduction)
    parameters = [*model.unet.parameters(), *model.text_encoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, settings.steps))
    model.unet.train()
    model.text_encoder.train()
    for step in range(settings.steps):
        images, captions = _batch(pictures, settings, rng)
        with torch.no_grad():
            latents = model.autoencoder.encode(images).latent_dist.mean * model.autoencoder.config.scaling_factor
        noise = torch.randn(latents.shape, generator=generator)
        times = torch.randint(model.scheduler.config.num_train_timesteps, (len(latents),), generator=generator)
        noisy = model.scheduler.add_noise(latents, noise, times)
        predicted = model.unet(noisy, times, encode_text(model, captions)).sample
        loss = functional.mse_loss(predicted, noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        report(step + 1, {"noise_mse": float(loss.detach())})
    model.unet.eval()
    model.text_encoder.eval()


def encode_text(model: TextToImage, captions: Sequence[str]) -> Tensor:
    """Text condition of B captions: (B, 77, width)."""
    tokens = model.tokenizer(
        list(captions), padding="max_length", max_length=model.tokenizer.model_max_length, truncation=True,
        return_tensors="pt",
    )  # fmt: skip
    states: Tensor = model.text_encoder(tokens.input_ids).last_hidden_state
    return states


@torch.inference_mode()
def generate(
    model: TextToImage,
    captions: Sequence[str],
    size: tuple[int, int],
    *,
    steps: int = 40,
    guidance: float = 2.0,
    seed: int = 0,
) -> npt.NDArray[np.uint8]:
    """Draws one picture a caption with DDIM (Song et al., ICLR 2021) and classifier-free guidance (Ho & Salimans 2022).

    Args:
        model: A trained model.
        captions: B captions.
        size: (height, width) of the pictures, multiples of the autoencoder's stride times the U-Net's own reduction, 8.
        steps: Denoising steps.
        guidance: Weight of the condition; 1 follows the caption without exaggeration.
        seed: Seed of the starting noise.

    Returns:
        (B, height, width, 3) uint8 RGB.
    """
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(model.scheduler.config, clip_sample=False)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(seed)
    height, width = (side // latent_stride(model.autoencoder) for side in size)
    latents = torch.randn((len(captions), 4, height, width), generator=generator)
    context = encode_text(model, [*captions, *([""] * len(captions))])
    for time in scheduler.timesteps:
        conditioned, free = model.unet(torch.cat([latents, latents]), time, context).sample.chunk(2)
        latents = scheduler.step(free + guidance * (conditioned - free), time, latents).prev_sample
    decoded = model.autoencoder.decode(latents / model.autoencoder.config.scaling_factor).sample
    pictures: npt.NDArray[np.uint8] = (
        ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    )
    return pictures


def _batch(pictures: Pictures, settings: DiffusionTraining, rng: np.random.Generator) -> tuple[Tensor, list[str]]:
    names = settings.styles or tuple(STYLES)
    images, captions = [], []
    whole = pictures.labels.shape[1:]
    size = settings.crop or whole
    for index in rng.integers(len(pictures), size=settings.batch_size):
        style = str(rng.choice(names))
        top, left = (int(rng.integers(there - wanted + 1)) for there, wanted in zip(whole, size, strict=True))
        window = (index, slice(top, top + size[0]), slice(left, left + size[1]))
        flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
        images.append(in_style(pictures.images[window][:, flip], style, rng))
        described = rng.random() >= settings.unconditional
        captions.append(caption(pictures.labels[window], style, pictures.conditions[index]) if described else "")
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous() * 2 - 1, captions
