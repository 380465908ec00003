"""Labels as pictures: the palette whose latent the UNet's output is regressed to (algorithm sections 9.4 and 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from madm_core.labels import IGNORE, LabelSet


def palette_image(labels: torch.Tensor, label_set: LabelSet) -> torch.Tensor:
    """Paints labels for the autoencoder.

    Args:
        labels: (B, 1, H, W) int64 ids.
        label_set: Its colours; ids without a class, 255 among them, become black.

    Returns:
        (B, 3, H, W) float32 in [-1, 1].
    """
    palette = torch.from_numpy(label_set.palette.copy()).to(labels.device).float() / 255
    # In the usual memory layout: on flat pictures the group normalisation of the other one is 30 times less exact.
    return ((palette[labels.squeeze(1)] - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()


def labelled(labels: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W) float32: 1 where a pixel has a label, 0 where it is 255."""
    return (labels != IGNORE).float()


@dataclass(frozen=True)
class PaletteReading:
    """What a decoded picture says when every pixel is read as the nearest palette colour.

    Args:
        labels: (B, H, W) int64.
        probability: (B, K, H, W), softmax over classes of the inverse distance.
        distance: (B, K, H, W), Euclidean distance to each colour in [0, 1] RGB.
    """

    labels: torch.Tensor
    probability: torch.Tensor
    distance: torch.Tensor


def read_palette(decoded: torch.Tensor, label_set: LabelSet) -> PaletteReading:
    """Reads (B, 3, H, W) decoded pictures in [-1, 1] (values beyond are clipped) back as labels.

    This shows whether the latent regression has been learnt; the training itself does not use it (oddity 7).
    """
    picture = (decoded.clamp(-1, 1) + 1) / 2
    colors = torch.tensor(label_set.colors, dtype=picture.dtype, device=picture.device) / 255
    distance = (picture.unsqueeze(1) - colors[None, :, :, None, None]).square().sum(2).sqrt()
    probability = torch.softmax(1 / (distance + 1e-3), 1)
    return PaletteReading(distance.argmin(1), probability, distance)
