"""Training of the base's autoencoder on pictures in all styles and on palette pictures of labels.

Latent regression (MADM) encodes labels painted in their palette and decodes the network's latents again, so the
autoencoder must carry flat regions with sharp borders as well as photographs; Stable Diffusion's does so from its
millions of pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from madm_core.labels import IGNORE, MADM11
from madm_core.pretraining.pictures import Pictures
from madm_core.pretraining.styles import STYLES, in_style


@dataclass(frozen=True)
class AutoencoderTraining:
    """How the autoencoder is trained.

    Args:
        steps: Optimisation steps.
        batch_size: Crops a step.
        palettes: How many of these are palette pictures.
        photos: How many of the others are plain photographs; the rest are drawn in any style.
        reductions: A crop comes from a picture whose sides are one of these times smaller.
        crop: Height and width of the crops in pixels, a multiple of the autoencoder's stride.
        learning_rate: Peak learning rate; see :func:`warm_cosine`.
        kl_weight: Weight of the divergence from a standard normal, which keeps latents near each other where pictures
            are.
        palette_weight: Weight of the cross-entropy of the nearest palette colour.
        color_weight: Weight of :func:`color_error`. Streets are grey by and large: the error of the pixels alone hardly
            rewards colour.
        class_balance: A class weighs in that cross-entropy as its share of the pixels to the power of minus this: 0
            counts all pixels alike, 0.5 lifts poles, signs and persons, 1 counts all classes alike.
        seed: Seed of crops, styles and posterior samples.
    """

    steps: int = 3500
    batch_size: int = 8
    palettes: int = 3
    photos: int = 2
    reductions: tuple[int, ...] = (1, 2)
    crop: int = 64
    learning_rate: float = 1.5e-3
    kl_weight: float = 1e-5
    palette_weight: float = 0.1
    color_weight: float = 1.0
    class_balance: float = 0.3
    seed: int = 0


def train_autoencoder(
    autoencoder: AutoencoderKL,
    pictures: Pictures,
    settings: AutoencoderTraining,
    report: Callable[[int, dict[str, float]], None],
) -> None:
    """Trains in place and sets ``scaling_factor`` so that latents of photographs have unit variance (Rombach et al.
    2022).

    Args:
        autoencoder: Of any reduction.
        pictures: Training pictures, larger than the crops.
        settings: See there.
        report: Called after each step with the number of steps done and the losses.
    """
    rng = np.random.default_rng([settings.seed, 11])
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), settings.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, settings.steps))
    weights_of_classes = class_weights(pictures.labels, settings.class_balance)
    sizes = [pictures.reduced(by) for by in settings.reductions]
    autoencoder.train()
    for step in range(settings.steps):
        images, labels = _batch(sizes, settings, rng)
        posterior = autoencoder.encode(images).latent_dist
        decoded = autoencoder.decode(posterior.sample(generator)).sample
        losses = {
            "reconstruction": functional.l1_loss(decoded, images),
            "palette": palette_cross_entropy(decoded[: len(labels)], labels, weights_of_classes),
            "color": color_error(decoded, images),
            "kl": posterior.kl().mean() / posterior.mean[0].numel(),
        }
        weights = {"reconstruction": 1.0, "palette": settings.palette_weight, "color": settings.color_weight,
                   "kl": settings.kl_weight}  # fmt: skip
        loss = sum((weights[name] * value for name, value in losses.items()), torch.zeros(()))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        report(step + 1, {name: float(value.detach()) for name, value in losses.items()})
    autoencoder.eval()
    autoencoder.register_to_config(scaling_factor=1.0 / _latent_deviation(autoencoder, pictures))


def color_error(decoded: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error of what is left of two (B, 3, H, W) pictures in [-1, 1] without their grey, in blocks of 4x4
    pixels: colour matters more than where exactly it ends."""
    difference = decoded - images
    return functional.avg_pool2d(difference - difference.mean(1, keepdim=True), 4).abs().mean()


def class_weights(labels: npt.NDArray[np.uint8], balance: float) -> Tensor:
    """Weight of each of MADM11's classes: its share of the pixels to the power of ``-balance``, scaled so that a pixel
    weighs 1 on average.

    Args:
        labels: (N, H, W) uint8 ids.
        balance: 0..1.
    """
    shares = np.bincount(labels.ravel(), minlength=256)[: len(MADM11)] / labels.size
    weights = np.where(shares > 0, np.maximum(shares, 1e-6) ** -balance, 0.0)
    return torch.from_numpy(weights / (weights * shares).sum()).float()


def palette_cross_entropy(decoded: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of a soft nearest-colour choice, a mean over the labelled pixels.

    Args:
        decoded: (B, 3, H, W) in [-1, 1].
        labels: (B, H, W) int64 ids of MADM11, 255 ignored.
        weights: (11,) factor of each class's pixels; None: 1.
    """
    colors = torch.tensor(MADM11.colors, dtype=decoded.dtype) / 127.5 - 1
    distance = (decoded[:, None] - colors[None, :, :, None, None]).square().sum(2)
    # At half the distance between the two nearest colours (37/255) the right one should have won clearly.
    loss = functional.cross_entropy(-distance / 0.02, labels, weights, ignore_index=IGNORE, reduction="none")
    return loss.sum() / (labels != IGNORE).sum().clamp_min(1)


@torch.inference_mode()
def palette_recovery(autoencoder: AutoencoderKL, labels: npt.NDArray[np.uint8]) -> tuple[float, list[float]]:
    """Paints labels, encodes, decodes and reads the nearest colours back, as latent regression would.

    Args:
        autoencoder: Trained.
        labels: (N, H, W) uint8 ids of MADM11.

    Returns:
        The share of pixels recovered, and the share in each class (NaN where the class does not occur).
    """
    colors = torch.tensor(MADM11.colors, dtype=torch.float32) / 127.5 - 1
    right, total = np.zeros(len(MADM11)), np.zeros(len(MADM11))
    for one in labels:
        painted = torch.from_numpy(MADM11.colorize(one)).permute(2, 0, 1)[None] / 127.5 - 1
        decoded = autoencoder.decode(autoencoder.encode(painted).latent_dist.mean).sample
        nearest = (decoded - colors[:, :, None, None]).square().sum(1).argmin(0).numpy()
        for class_id in range(len(MADM11)):
            there = one == class_id
            total[class_id] += there.sum()
            right[class_id] += (nearest[there] == class_id).sum()
    with np.errstate(invalid="ignore"):
        return float(right.sum() / total.sum()), (right / total).tolist()


def _batch(sizes: Sequence[Pictures], settings: AutoencoderTraining, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(B, 3, crop, crop) in [-1, 1], palette pictures first, and the (P, crop, crop) labels of these."""
    images: list[npt.NDArray[np.float32]] = []
    labels: list[npt.NDArray[np.int64]] = []
    for index in range(settings.batch_size):
        pictures = sizes[int(rng.integers(len(sizes)))]
        chosen = int(rng.integers(len(pictures)))
        top, left = (int(rng.integers(side - settings.crop + 1)) for side in pictures.labels.shape[1:])
        window = (chosen, slice(top, top + settings.crop), slice(left, left + settings.crop))
        flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
        if index < settings.palettes:
            label = pictures.labels[window][:, flip]
            labels.append(label.astype(np.int64))
            images.append((MADM11.colorize(label) / 255).astype(np.float32))
        else:
            style = "photo" if index < settings.palettes + settings.photos else str(rng.choice(list(STYLES)))
            images.append(in_style(pictures.images[window][:, flip], style, rng))
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous() * 2 - 1
    return batch, torch.from_numpy(np.stack(labels))


@torch.inference_mode()
def _latent_deviation(autoencoder: AutoencoderKL, pictures: Pictures) -> float:
    images = torch.from_numpy(pictures.images[:64]).permute(0, 3, 1, 2) / 127.5 - 1
    return float(torch.cat([autoencoder.encode(image[None]).latent_dist.mean for image in images]).std())


def warm_cosine(step: int, steps: int) -> float:
    """Learning-rate multiplier before step ``step`` of ``steps``: a linear rise over the first 100 steps (or a tenth of
    them, where that is less), then half a cosine down to 0."""
    rise = min(100, max(1, steps // 10))
    return min(1.0, (step + 1) / rise) * 0.5 * (1 + float(np.cos(np.pi * step / max(1, steps))))
