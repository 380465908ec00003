"""Everything random in one training step, drawn before it.

The draws of a batch come from a seed made of the run's seed and the batch's number alone. So there is no generator
whose state could be lost: a resumed run draws what the uninterrupted run would have drawn.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

import numpy as np
import torch

from madm_core.adaptation.appearance import AppearanceChange, draw_appearance
from madm_core.adaptation.augmentation import StrongAugmentation, draw_strong_augmentation
from madm_core.adaptation.class_mix import draw_classes
from madm_core.adaptation.method import Method
from madm_core.adaptation.schedules import pseudo_label_timestep


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part, the same on all machines."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass(frozen=True)
class StepDraws:
    """What chance decides in a step.

    Args:
        timestep: Noise level of the teacher's latents.
        classes: Per sample, the ids of the source classes that are pasted into the target frame.
        augmentations: Per sample, what is done to the mixed picture.
        appearance: Per sample, what is done to the source picture.
        torch_seed: Seed of PyTorch's generators during the step (dropout).
    """

    timestep: int
    classes: tuple[torch.Tensor, ...]
    augmentations: tuple[StrongAugmentation, ...]
    appearance: tuple[AppearanceChange | None, ...]
    torch_seed: int


def draw_step(
    method: Method, source_labels: torch.Tensor, *, step: int, max_steps: int, seed: int, batch_number: int
) -> StepDraws:
    """Draws for one batch.

    Args:
        method: The switches.
        source_labels: (B, 1, H, W) int64.
        step: Finished optimiser steps.
        max_steps: Length of the training.
        seed: The run's seed.
        batch_number: Number of the batch in the run, counted over all processes: two processes with one batch a step
            draw what one process with two accumulated batches draws.
    """
    step_seed = derive_seed(seed, "batch", batch_number)
    rng = random.Random(step_seed)
    samples = len(source_labels)
    start = rng.randint(method.noise_start, method.noise_start + method.noise_start_spread)
    augmentations = draw_strong_augmentation(
        rng,
        samples,
        jitter_probability=method.jitter_probability,
        jitter_strength=method.jitter_strength,
        blur_probability=method.blur_probability,
    )
    classes = draw_classes(
        source_labels,
        np.random.RandomState(step_seed % 2**32),
        classes_from=method.mix_classes_from,
        mix_ignored=method.mix_ignored,
    )
    return StepDraws(
        timestep=pseudo_label_timestep(
            step,
            start=start,
            end_step=method.noise_end(max_steps),
            first_step=method.first_adapting_step(max_steps),
        ),
        classes=tuple(classes),
        augmentations=augmentations,
        appearance=draw_appearance(rng, samples, method.appearance_probability),
        torch_seed=step_seed,
    )
