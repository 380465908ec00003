"""The two losses of MADM, with its denominators and ours (algorithm section 5)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from madm_core.labels import IGNORE

Denominator = Literal["all", "valid"]
"""What a loss is divided by: every pixel (the reference's choice, ignored ones included) or only those that count."""


def segmentation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    pixel_weight: torch.Tensor | None = None,
    denominator: Denominator = "all",
) -> torch.Tensor:
    """Pixel-weighted cross-entropy.

    Args:
        logits: (B, K, h, w) float; resized bilinearly to the labels' size when it differs.
        labels: (B, 1, H, W) int64 ids, 255 = ignored.
        pixel_weight: (B, H, W) float factors; None = 1 everywhere.
        denominator: ``"all"`` divides by B*H*W, so that a half-ignored picture teaches half as much (the reference);
            ``"valid"`` divides by the number of pixels that have a label.

    Returns:
        A scalar; 0 when no pixel has a label.
    """
    labels = labels.squeeze(1)
    if logits.shape[-2:] != labels.shape[-2:]:
        logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    if pixel_weight is not None:
        loss = loss * pixel_weight
    if denominator == "all":
        return loss.mean()
    return loss.sum() / (labels != IGNORE).sum().clamp_min(1)


def latent_regression_loss(
    sample: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor,
    *,
    norm: Literal["l1", "l2"] = "l1",
    denominator: Denominator = "all",
) -> torch.Tensor:
    """Distance between the UNet's output and the latent of a label's palette picture.

    Args:
        sample: (B, 4, h, w) output of the UNet.
        target: (B, 4, h, w) latent of the palette picture; receives no gradient.
        mask: (B, 1, H, W) float weights at picture resolution. Each latent cell takes the weight of its top left pixel.
        norm: Absolute (``"l1"``) or squared (``"l2"``) differences.
        denominator: ``"all"`` divides by B*4*h*w (the reference); ``"valid"`` by the number of elements whose weight
            is not 0.

    Returns:
        A scalar; 0 when the mask is 0 everywhere.
    """
    cell_weight = F.interpolate(mask, size=sample.shape[-2:], mode="nearest").expand_as(sample)
    difference = sample - target.detach()
    distance = difference.abs() if norm == "l1" else difference.square()
    if denominator == "all":
        return (distance * cell_weight).mean()
    return (distance * cell_weight).sum() / (cell_weight != 0).sum().clamp_min(1)
