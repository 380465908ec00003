"""The exponential moving average that turns the student's weights into the teacher's (algorithm section 6).

Averaging the student over many steps gives weights that change slowly and err less than any single step's, which is
what makes their predictions usable as labels (Tarvainen and Valpola, NeurIPS 2017).
"""

from __future__ import annotations

import torch
from torch import nn


def ema_decay(step: int, limit: float = 0.999) -> float:
    """Share of the teacher that survives the update before ``step`` (>= 1): 1/2, 2/3, 3/4, ... up to ``limit``."""
    return min(1 - 1 / (step + 1), limit)


@torch.no_grad()
def update_average(teacher: nn.Module, student: nn.Module, decay: float, *, buffers: bool) -> None:
    """Moves the teacher's parameters towards the student's in place: ``decay * teacher + (1 - decay) * student``.

    Args:
        teacher: A deep copy of ``student`` (same parameter names).
        student: Where the weights come from.
        decay: Share of the teacher that survives, in [0, 1].
        buffers: Average floating-point buffers (BatchNorm's running statistics) too. The reference does not; whole
            numbers (the count of batches) are copied.
    """
    for kept, new in zip(teacher.parameters(), student.parameters(), strict=True):
        kept.mul_(decay).add_(new.detach(), alpha=1 - decay)
    if buffers:
        for average, current in zip(teacher.buffers(), student.buffers(), strict=True):
            if average.is_floating_point():
                average.mul_(decay).add_(current, alpha=1 - decay)
            else:
                average.copy_(current)
