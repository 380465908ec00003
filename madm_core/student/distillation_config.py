"""The configuration of a distillation: one YAML file, every key named here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

from madm_core.config import to_mapping
from madm_core.errors import ConfigError
from madm_core.student.architecture import STRIDE, StudentSize


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """A distillation run.

    Args:
        output: Run directory.
        teacher: Model directory or hub id of the trained model.
        teacher_base: Where the teacher's base is, if it is not where the teacher says.
        frames: Unlabelled frames of the teacher's sensor: ``kind`` and its keys (docs/training.md). Labels that may be
            there are not read.
        validation: Labelled frames to score teacher and student on; None: only their agreement on ``frames`` is told.
        size: ``b0`` (the smallest published SegFormer) or ``b0-half`` (half of its channels).
        initial: Hub id or directory of a SegFormer whose weights the student starts from; None: random weights.
        image_size: (height, width) of the student's images, multiples of 32; None: the teacher's.
        temperature: Softens both distributions; 1 leaves them as they are.
        confidence_power: A pixel weighs as much as the teacher's confidence to this power; 0 weighs all alike.
        crop_scale: Smallest and largest part of a frame's sides that a sample shows.
        flip: Mirror half of the samples.
        max_steps: Optimiser steps.
        batch_size: Samples a step.
        learning_rate: Its highest value, after the warm-up; it falls to 0 along half a cosine.
        warmup_fraction: Share of the steps in which the rate rises to its highest value.
        weight_decay: AdamW's, for everything but biases and normalisation layers.
        clip_norm: Largest norm of the gradient.
        seed: Every random decision follows from it.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, for teacher and student.
        workers: Processes that prepare samples; 0 prepares them in the training process.
        log_every: Steps between two lines of numbers; 0 switches it off.
        validate_every: Steps between two validations; 0 switches them off.
        checkpoint_every: Steps between two checkpoints; 0 switches them off.
        validation_frames: Frames that a validation looks at, spread over the set; 0 = all.
        keep_checkpoints: Newest checkpoints that are kept.
        cache: Folder for the teacher's predictions and for frames extracted from bags.
    """

    FREE_KEYS: ClassVar[frozenset[str]] = frozenset(
        {"output", "cache", "workers", "log_every", "validate_every", "checkpoint_every", "validation_frames"}
    ) | {"keep_checkpoints", "teacher_base"}
    """Keys that may change on resume: they do not touch what is learnt."""

    output: Path
    teacher: str
    frames: dict[str, Any]
    teacher_base: str | None = None
    validation: dict[str, Any] | None = None
    size: StudentSize = "b0"
    initial: str | None = None
    image_size: tuple[int, int] | None = None
    temperature: float = 2.0
    confidence_power: float = 1.0
    crop_scale: tuple[float, float] = (0.5, 1.0)
    flip: bool = True
    max_steps: int = 20000
    batch_size: int = 8
    learning_rate: float = 6e-4
    warmup_fraction: float = 0.03
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 42
    device: str = "auto"
    workers: int = 0
    log_every: int = 20
    validate_every: int = 1000
    checkpoint_every: int = 500
    validation_frames: int = 0
    keep_checkpoints: int = 2
    cache: Path = Path("~/.cache/madm_ros")

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} cannot be used", got=getattr(self, name), expected="1 or more")
        for name in ("log_every", "validate_every", "checkpoint_every", "validation_frames", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} cannot be used", got=getattr(self, name), expected="0 or more")
        for name in ("temperature", "learning_rate", "clip_norm"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} cannot be used", got=getattr(self, name), expected="a number above 0")
        for name in ("confidence_power", "weight_decay"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} cannot be used", got=getattr(self, name), expected="0 or more")
        if not 0 <= self.warmup_fraction < 1:
            raise ConfigError(
                "warmup_fraction cannot be used", got=self.warmup_fraction, expected="at least 0, below 1"
            )
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ConfigError(
                "crop_scale cannot be used", got=self.crop_scale, expected="(smallest, largest), above 0 and up to 1"
            )
        if self.image_size is not None and any(side <= 0 or side % STRIDE for side in self.image_size):
            raise ConfigError(
                "image_size cannot be used", got=self.image_size, expected=f"(height, width), multiples of {STRIDE}"
            )

    def spelt_out(self) -> dict[str, Any]:
        """Every key."""
        return to_mapping(self)
