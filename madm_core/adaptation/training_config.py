"""The configuration of a training run: one YAML file, every key named here."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from madm_core.adaptation.method import Method, RecipeName, method_of
from madm_core.adaptation.optimizer import OptimizerKind
from madm_core.config import from_mapping, to_mapping
from madm_core.errors import ConfigError
from madm_core.labels import LabelSet
from madm_core.modalities import Modality, modality_from_dict
from madm_core.model.diffusion_backbone import LATENT_STRIDE
from madm_core.model.madm import MadmArchitecture


@dataclasses.dataclass(frozen=True)
class EngineConfig:
    """How a step is computed; what is learnt does not depend on it beyond rounding.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        mixed_precision: ``no``, ``bf16`` or ``fp16`` (the reference's; with a loss scaler). ``auto`` takes bf16
            where the GPU has it, fp16 on older GPUs, and ``no`` on a CPU.
        accumulate: Batches whose gradients are summed into one step.
        backward_per_branch: Compute each branch's gradients before the next branch runs: half the activations in
            memory, the same gradients.
        gradient_checkpointing: Recompute activations of the UNet and of the head's branches instead of keeping them.
        optimizer: ``adamw``, or ``adamw8bit`` (bitsandbytes) with two bytes of state a weight instead of eight.
        half_vae: Keep the frozen autoencoder in half precision when mixed precision is on.
        channels_last: Memory layout of convolutions; faster on GPUs with tensor cores and on CPUs.
        compile: Compile the UNet with torch.compile: minutes at the start, then faster steps.
        workers: Processes that load data; 0 loads in the training process.
        sync_batch_norm: BatchNorm over all processes (GPUs) instead of over each one's own batch.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    accumulate: int = 1
    backward_per_branch: bool = True
    gradient_checkpointing: bool = True
    optimizer: OptimizerKind = "adamw"
    half_vae: bool = True
    channels_last: bool = False
    compile: bool = False
    workers: int = 2
    sync_batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.accumulate < 1 or self.workers < 0:
            raise ConfigError(
                "engine.accumulate and engine.workers", got=f"{self.accumulate}, {self.workers}", expected="1.., 0.."
            )


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """A training run.

    Args:
        output: Run directory.
        base: Stable Diffusion base: a diffusers directory or a hub id.
        modality: ``{name: depth | thermal | event, ...encoding parameters}`` of the target sensor.
        label_set: ``madm11``, ``madm9``, ``cityscapes19``, or a whole label set (name, names, colors).
        source: Labelled data: ``kind`` and its keys (docs/training.md).
        target: Unlabelled data of the target sensor.
        validation: Labelled data of the target sensor, or None: then only label-free health is watched.
        image_size: (height, width) of the network's pictures.
        architecture: Sizes of projections and head; empty = the published ones.
        recipe: ``madm`` (ours) or ``reference`` (the authors' code, oddities included).
        method: Switches that differ from the recipe; see ``Method``.
        max_steps: Optimiser steps.
        batch_size: Samples a process and batch.
        seed: Every random decision follows from it.
        engine: How a step is computed.
        log_every: Steps between two lines of numbers; 0 switches it off.
        preview_every: Steps between two preview pictures; 0 switches them off.
        validate_every: Steps between two validations; 0 switches them off.
        checkpoint_every: Steps between two checkpoints; 0 switches them off.
        validation_frames: Frames that a validation looks at, spread over the set; 0 = all.
        keep_checkpoints: Newest checkpoints that are kept, besides the best.
        embed_base: Copy the base's autoencoder into the model directory, so that it needs nothing else.
        cache: Folder for statistics and for frames extracted from bags.
    """

    FREE_KEYS: ClassVar[frozenset[str]] = frozenset(
        {"output", "cache", "log_every", "preview_every", "validate_every", "checkpoint_every", "validation_frames"}
    ) | {"keep_checkpoints", "embed_base", "engine.workers"}
    """Keys that may change on resume: they do not touch what is learnt."""

    output: Path
    base: str
    modality: dict[str, Any]
    source: dict[str, Any]
    target: dict[str, Any]
    validation: dict[str, Any] | None = None
    label_set: str | dict[str, Any] = "madm11"
    image_size: tuple[int, int] = (512, 512)
    architecture: dict[str, Any] = dataclasses.field(default_factory=dict)
    recipe: RecipeName = "madm"
    method: dict[str, Any] = dataclasses.field(default_factory=dict)
    max_steps: int = 10000
    batch_size: int = 1
    seed: int = 42
    engine: EngineConfig = EngineConfig()
    log_every: int = 10
    preview_every: int = 250
    validate_every: int = 1000
    checkpoint_every: int = 1000
    validation_frames: int = 0
    keep_checkpoints: int = 2
    embed_base: bool = False
    cache: Path = Path("~/.cache/madm_ros")

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} cannot be used", got=getattr(self, name), expected="1 or more")
        for name in ("log_every", "preview_every", "validate_every", "checkpoint_every", "validation_frames"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} cannot be used", got=getattr(self, name), expected="0 (off) or more")
        if any(side <= 0 or side % (4 * LATENT_STRIDE) for side in self.image_size):
            raise ConfigError(
                "image_size cannot be used",
                got=self.image_size,
                expected=f"(height, width), multiples of {4 * LATENT_STRIDE}",
            )
        # Resolved here, so that a mistake in any section is found before anything is loaded.
        _ = (self.resolved_method, self.labels, self.make_modality(), self.network_architecture)

    @cached_property
    def resolved_method(self) -> Method:
        """The recipe with the switches of ``method`` applied."""
        return method_of(self.recipe, self.method)

    @cached_property
    def labels(self) -> LabelSet:
        """The label set."""
        if isinstance(self.label_set, str):
            return LabelSet.named(self.label_set)
        return LabelSet.from_dict(self.label_set)

    @cached_property
    def network_architecture(self) -> MadmArchitecture:
        """Sizes of what is added to the base."""
        sizes = {**self.architecture, "classes": len(self.labels), "dropout": self.resolved_method.head_dropout}
        return from_mapping(MadmArchitecture, sizes, where="the section 'architecture'")

    def spelt_out(self) -> dict[str, Any]:
        """Every key, and every switch of the method."""
        return {**to_mapping(self), "method": to_mapping(self.resolved_method)}

    def make_modality(self) -> Modality:
        """A fresh modality object."""
        return modality_from_dict(self.modality)

    @property
    def cache_folder(self) -> Path:
        """``cache`` with the home folder filled in."""
        return self.cache.expanduser()
