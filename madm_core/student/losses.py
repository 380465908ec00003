"""What the student is asked for: the teacher's whole distribution at every pixel, where the teacher is sure of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, kl_div, log_softmax


def distillation_loss(
    student_logits: Tensor, teacher_log_probabilities: Tensor, *, temperature: float, confidence_power: float
) -> Tensor:
    """Kullback-Leibler divergence from the teacher's softened distribution to the student's (Hinton et al., 2015).

    Args:
        student_logits: (B, K, h, w) at any resolution; upsampled to the teacher's.
        teacher_log_probabilities: (B, K, H, W), up to a constant per pixel.
        temperature: Both distributions are softened by it. The loss is multiplied by its square, so that the size of
            its gradients does not depend on it.
        confidence_power: Each pixel weighs as much as the teacher's probability of its own class to this power; 0
            weighs all alike.

    Returns:
        The weighted mean over all pixels.
    """
    target = log_softmax(teacher_log_probabilities, dim=1)
    weight = target.amax(dim=1).exp().pow(confidence_power)
    student = interpolate(student_logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
    divergence = kl_div(
        log_softmax(student / temperature, dim=1),
        log_softmax(target / temperature, dim=1),
        reduction="none",
        log_target=True,
    ).sum(dim=1)
    return temperature**2 * (weight * divergence).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
