"""ClassMix (Olsson et al., WACV 2021): half of the classes of a labelled picture are pasted into an unlabelled one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from madm_core.labels import IGNORE


def draw_classes(
    labels: torch.Tensor,
    rng: np.random.RandomState,
    *,
    classes_from: Literal["batch", "sample"] = "sample",
    mix_ignored: bool = False,
) -> list[torch.Tensor]:
    """Draws for every sample the half (rounded up) of the classes that will be pasted.

    Args:
        labels: (B, 1, H, W) int64 source labels.
        rng: Source of randomness.
        classes_from: Draw from the classes present in the sample itself, or from those anywhere in the batch (the
            reference's way: a class that the sample lacks may be drawn, and then nothing is pasted for it).
        mix_ignored: Whether 255 counts as a class, so that unlabelled regions are pasted too (the reference's way).

    Returns:
        B tensors of int64 ids; empty where a sample has no class to choose.
    """
    chosen = []
    for sample in labels:
        present = torch.unique(labels if classes_from == "batch" else sample)
        if not mix_ignored:
            present = present[present != IGNORE]
        count = len(present)
        indices = rng.choice(count, math.ceil(count / 2), replace=False) if count else np.empty(0, np.int64)
        chosen.append(present[torch.as_tensor(indices, device=present.device)])
    return chosen


def class_masks(labels: torch.Tensor, chosen: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B, 1, H, W) int64, 1 where a sample's label is one of its chosen classes."""
    masks = [torch.isin(sample, classes.to(sample.device)) for sample, classes in zip(labels, chosen, strict=True)]
    return torch.stack(masks).to(torch.int64)


def mix(source: torch.Tensor, target: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """``source`` where the mask is 1, ``target`` where it is 0.

    Args:
        source: (B, C, H, W).
        target: (B, C, H, W) of the same dtype.
        masks: (B, 1, H, W) of 0 and 1.
    """
    return masks * source + (1 - masks) * target
