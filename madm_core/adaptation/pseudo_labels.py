"""Pseudo-labels: what the teacher says about unlabelled frames, and how far it is believed (algorithm section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from madm_core.adaptation.class_mix import mix
from madm_core.adaptation.latent_regression import labelled
from madm_core.labels import IGNORE


@dataclass(frozen=True)
class PseudoLabels:
    """The teacher's verdict on a batch.

    Args:
        labels: (B, H, W) int64, the most probable class of every pixel, however unsure; 255 where none is wanted.
        confidence: (B, H, W) float in [0, 1], its probability; 0 where no label is wanted.
        share: Scalar q: the share of the batch's labelled pixels whose confidence reaches the threshold.
    """

    labels: torch.Tensor
    confidence: torch.Tensor
    share: torch.Tensor


def pseudo_labels(logits: torch.Tensor, threshold: float, valid: torch.Tensor | None = None) -> PseudoLabels:
    """Reads the teacher's logits.

    Args:
        logits: (B, K, H, W).
        threshold: Pixels at least as probable count towards q.
        valid: (B, 1, H, W) bool: where a label is wanted; None = everywhere. Other pixels get 255 and do not count, so
            that no loss sees them, nor the regression.
    """
    confidence, labels = torch.softmax(logits.float(), 1).max(1)
    wanted: torch.Tensor | int = confidence.numel()
    if valid is not None:
        nowhere = ~valid.squeeze(1)
        labels, confidence = labels.masked_fill(nowhere, IGNORE), confidence.masked_fill(nowhere, 0.0)
        wanted = valid.sum().clamp_min(1)
    # Counted in double precision as the reference does; a float32 count would already be off by one at 16.8M pixels.
    share = (confidence >= threshold).sum().double() / wanted
    return PseudoLabels(labels, confidence, share.float())


@dataclass(frozen=True)
class MixedTargets:
    """What the mixed picture is to be taught.

    Args:
        labels: (B, 1, H, W) int64: source labels where pasted, pseudo-labels elsewhere.
        pixel_weight: (B, H, W) float: 1 where pasted, q elsewhere.
        regression_mask: (B, 1, H, W) float weights of the latent regression, 0 where the label is 255.
    """

    labels: torch.Tensor
    pixel_weight: torch.Tensor
    regression_mask: torch.Tensor


def mixed_targets(
    source_labels: torch.Tensor,
    pseudo: PseudoLabels,
    masks: torch.Tensor,
    *,
    regression_weight: Literal["share", "pixel"] = "pixel",
) -> MixedTargets:
    """Mixes source labels and pseudo-labels as the pictures were mixed.

    Args:
        source_labels: (B, 1, H, W) int64.
        pseudo: The teacher's verdict on the same frames.
        masks: (B, 1, H, W) int64, 1 = pasted from the source.
        regression_weight: ``"share"`` weighs the latent regression by q everywhere, on pasted true labels too (the
            reference); ``"pixel"`` uses the same weight as the cross-entropy.
    """
    labels = mix(source_labels, pseudo.labels.unsqueeze(1), masks)
    pasted = masks.squeeze(1).to(pseudo.share.dtype)
    pixel_weight = pasted + (1 - pasted) * pseudo.share
    weight = pseudo.share if regression_weight == "share" else pixel_weight.unsqueeze(1)
    return MixedTargets(labels, pixel_weight, labelled(labels) * weight)
