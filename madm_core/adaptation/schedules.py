"""What changes over a training: noise on the teacher's latents and the learning rate (algorithm sections 7 and 11)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


def pseudo_label_timestep(step: int, *, start: int, end_step: int, first_step: int = 0) -> int:
    """Diffusion timestep of the teacher's latents: falls linearly from ``start`` to 0 at ``end_step`` and stays there.

    Args:
        step: Number of finished training steps.
        start: Timestep at ``first_step`` and before.
        end_step: Step from which on the timestep is 0.
        first_step: The first step with pseudo-labels.

    Returns:
        A whole number of 0..start. Truncated from double precision exactly as the reference does, whose fall begins
        with the training, so at a few steps it is one lower than the exact floor.
    """
    if step >= end_step:
        return 0
    if step <= first_step:
        return start
    at_step_0 = start * end_step / (end_step - first_step)  # the same line, drawn back to the training's begin
    return int(at_step_0 * (1 - step / end_step))


@dataclass(frozen=True)
class LearningRateSchedule:
    """Linear warm-up, then a constant rate with two drops; stateless, a function of the step.

    Args:
        max_steps: Length of the training.
        warmup_fraction: Share of the training that warms up; 0 for none.
        warmup_start: Multiplier at step 0.
        drops: Shares of the training after which the rate falls to a tenth, a hundredth, ...

    The reference drives detectron2's scheduler with ``2 * max_steps - 1`` updates, which quantises where the drops
    fall; the same arithmetic is used here, so that they fall on the same steps.
    """

    max_steps: int
    warmup_fraction: float = 500 / 184375
    warmup_start: float = 0.067
    drops: tuple[float, ...] = (0.88888, 0.96296)

    def multiplier(self, step: int) -> float:
        """Factor on every base learning rate at ``step`` (0 = the first)."""
        progress = step / self.max_steps
        if self.warmup_fraction and progress < self.warmup_fraction:
            return self.warmup_start + (1.0 - self.warmup_start) * progress / self.warmup_fraction
        updates = 2 * self.max_steps - 1
        milestones = [int(share * updates) for share in self.drops]
        return float(0.1 ** bisect_right(milestones, int((progress + 1e-6) * updates)))
