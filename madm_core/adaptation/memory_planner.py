"""Expected peak memory of a training before anything is loaded, and what to switch on when it does not fit.

Weights, gradients and optimiser state are counted exactly from the base's configuration. Activations are counted by
running one branch on PyTorch's meta device, which computes shapes and no numbers, and summing what autograd would keep.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from madm_core.adaptation.method import Method
from madm_core.adaptation.step import AdaptationModel
from madm_core.adaptation.training_config import EngineConfig, TrainingConfig
from madm_core.labels import LabelSet
from madm_core.model.base_files import find_base, read_json
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import StableDiffusionBase

_GIB = 2**30
_TOKENS = 77
_MIXED_SHARE = 0.6
"""Bytes that mixed precision keeps of float32's: most activations in 2 bytes, norms and losses in 4."""
_SAVINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("engine.mixed_precision=bf16", {"mixed_precision": "bf16"}),
    ("engine.backward_per_branch=true", {"backward_per_branch": True}),
    ("engine.gradient_checkpointing=true", {"gradient_checkpointing": True}),
    ("engine.optimizer=adamw8bit", {"optimizer": "adamw8bit"}),
)


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """Expected peak, in bytes, by what it is for.

    Args:
        weights: Student, teacher and frozen base.
        gradients: Of everything trained.
        optimizer: Its state.
        activations: Kept for the backward pass, at the worst moment.
        available: Memory of the GPU; None on a CPU.
        savings: Switch -> expected peak with it and all switches before it.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    available: int | None
    savings: tuple[tuple[str, int], ...] = ()

    @property
    def peak(self) -> int:
        """The sum."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def describe(self) -> str:
        """The plan as text."""
        parts = (
            f"weights {self.weights / _GIB:.2f}, gradients {self.gradients / _GIB:.2f}, "
            f"optimizer {self.optimizer / _GIB:.2f}, activations {self.activations / _GIB:.2f}"
        )
        lines = [f"expected peak memory: {self.peak / _GIB:.2f} GiB ({parts})"]
        if self.available is not None and self.peak > self.available:
            lines.append(f"  this does not fit into {self.available / _GIB:.1f} GiB; with, one after the other:")
            lines += [f"  {switch}: {peak / _GIB:.2f} GiB" for switch, peak in self.savings]
            lines.append("  or a smaller batch_size or image_size")
        return "\n".join(lines)


def plan_memory(config: TrainingConfig, available: int | None = None) -> MemoryPlan:
    """Plans a run from its configuration.

    Args:
        config: The run.
        available: Bytes of memory on the device; None asks the GPU, where there is one.

    Raises:
        BaseModelError: The base's configuration cannot be read.
    """
    if available is None and torch.cuda.is_available():
        available = torch.cuda.get_device_properties(0).total_memory
    directory = find_base(config.base, ("unet", "vae", "scheduler"))
    configs = {
        "unet": read_json(directory / "unet" / "config.json"),
        "vae": read_json(directory / "vae" / "config.json"),
        "scheduler": read_json(directory / "scheduler" / "scheduler_config.json"),
    }
    sizes = _Sizes(configs, config)
    plan = sizes.plan(config.engine)
    savings, engine = [], config.engine
    for switch, change in _SAVINGS:
        changed = dataclasses.replace(engine, **change)
        if changed != engine:
            engine = changed
            savings.append((switch, sizes.plan(engine).peak))
    return dataclasses.replace(plan, available=available, savings=tuple(savings))


class _Sizes:
    """Counts the parts of one configuration once, for any engine."""

    def __init__(self, configs: dict[str, dict[str, Any]], config: TrainingConfig) -> None:
        self.config = config
        self.model = _meta_model(
            configs, config.network_architecture, config.resolved_method, config.labels, config.image_size
        )
        self._activations: dict[bool, int] = {}

    def plan(self, engine: EngineConfig) -> MemoryPlan:
        mixed = engine.mixed_precision in ("bf16", "fp16") or (
            engine.mixed_precision == "auto" and engine.device != "cpu" and torch.cuda.is_available()
        )
        vae = sum(parameter.numel() for parameter in self.model.student.backbone.vae.parameters())
        tensors = sum(parameter.numel() for parameter in self.model.parameters())
        trained = sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)
        weights = 4 * (tensors - vae) + (2 if mixed and engine.half_vae else 4) * vae
        branches = 1 if engine.backward_per_branch else 2
        activations = branches * self._branch_activations(engine.gradient_checkpointing)
        if mixed:
            # Autocast also keeps a half-precision copy of the trained weights during a step.
            activations = round(_MIXED_SHARE * activations) + 2 * trained
        return MemoryPlan(
            weights, 4 * trained, (2 if engine.optimizer == "adamw8bit" else 8) * trained, activations, None
        )

    def _branch_activations(self, checkpointing: bool) -> int:
        if checkpointing not in self._activations:
            student = self.model.student
            unet, head = student.backbone.unet, student.head
            if checkpointing:
                unet.enable_gradient_checkpointing()
            else:
                unet.disable_gradient_checkpointing()
            head.gradient_checkpointing = checkpointing  # type: ignore[assignment]
            height, width = self.config.image_size
            image = torch.empty((self.config.batch_size, 3, height, width), device="meta")
            with _kept_bytes(self.model) as kept:
                student(image, torch.zeros((), dtype=torch.int64, device="meta"))
            self._activations[checkpointing] = sum(kept.values()) + (self._recomputed() if checkpointing else 0)
        return self._activations[checkpointing]

    def _recomputed(self) -> int:
        """What the largest checkpointed part, a dilated branch of the head, keeps while it is computed again."""
        branch: Any = self.model.student.head.dilated_branches[0]  # type: ignore[index]
        size = (self.config.batch_size, branch[0].conv.in_channels, *self.config.image_size)
        with _kept_bytes(self.model) as kept:
            branch(torch.empty(size, device="meta", requires_grad=True))
        return sum(kept.values())


def _meta_model(
    configs: dict[str, dict[str, Any]],
    architecture: MadmArchitecture,
    method: Method,
    label_set: LabelSet,
    image_size: tuple[int, int],
) -> AdaptationModel:
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(configs["unet"])
        vae = AutoencoderKL.from_config(configs["vae"])
    base = StableDiffusionBase("plan", unet, vae, configs["scheduler"])
    with torch.random.fork_rng(devices=[]):
        unconditional = torch.zeros(1, _TOKENS, int(configs["unet"]["cross_attention_dim"]))
        student = MadmNetwork.from_base(base, architecture, image_size, unconditional=unconditional)
    return AdaptationModel(student, method, label_set).to("meta").train()


@contextmanager
def _kept_bytes(model: nn.Module) -> Iterator[dict[int, int]]:
    """Collects storage -> bytes of everything autograd keeps inside, parameters and buffers left out."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)  # so that no later storage takes the same address
        return tensor

    attention = mock.patch.object(nn.functional, "scaled_dot_product_attention", _FlashAttention.apply_like)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), attention:
        yield kept


class _FlashAttention(torch.autograd.Function):
    """Keeps what a fused attention keeps: queries, keys, values and the output, but no attention matrix."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        query, key, value, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)

    @classmethod
    def apply_like(cls, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any) -> torch.Tensor:
        output: torch.Tensor = cls.apply(query, key, value)
        return output
