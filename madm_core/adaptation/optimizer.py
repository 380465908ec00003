"""The optimiser: which parameters decay, how fast each part learns, and the 8-bit variant (algorithm section 11)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import nn

from madm_core.errors import ConfigError, MissingDependencyError

OptimizerKind = Literal["adamw", "adamw8bit"]

_NORMALISATION = (
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LocalResponseNorm,
)


def parameter_groups(
    parts: Mapping[str, nn.Module], learning_rates: Mapping[str, float], weight_decay: float
) -> list[dict[str, Any]]:
    """Groups the trained parameters of a network by learning rate and weight decay.

    Args:
        parts: Name -> module; a parameter that several modules hold is taken once.
        learning_rates: Part name -> base learning rate.
        weight_decay: For everything except biases and the parameters of normalisation layers, which do not decay.

    Returns:
        Optimiser groups in a fixed order, each with ``params``, ``names`` ("part.parameter"), ``lr``, ``base_lr`` and
        ``weight_decay``. Parameters that do not require a gradient are left out.

    Raises:
        ConfigError: A part has no learning rate.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    seen: set[int] = set()
    for part, module in parts.items():
        if part not in learning_rates:
            raise ConfigError(f"the part '{part}' of the network has no learning rate", expected=sorted(learning_rates))
        learning_rate = learning_rates[part]
        for name, parameter, decays in _named_parameters(module):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            decay = weight_decay if decays else 0.0
            group = groups.setdefault(
                (learning_rate, decay),
                {"params": [], "names": [], "lr": learning_rate, "base_lr": learning_rate, "weight_decay": decay},
            )
            group["params"].append(parameter)
            group["names"].append(f"{part}.{name}")
    return list(groups.values())


def _named_parameters(module: nn.Module) -> Iterable[tuple[str, nn.Parameter, bool]]:
    for prefix, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            decays = name != "bias" and not isinstance(owner, _NORMALISATION)
            yield (f"{prefix}.{name}" if prefix else name), parameter, decays


def make_optimizer(
    groups: list[dict[str, Any]], kind: OptimizerKind, betas: tuple[float, float], *, device: torch.device
) -> torch.optim.Optimizer:
    """AdamW over :func:`parameter_groups`; ``"adamw8bit"`` keeps its two moments in 8 bits (bitsandbytes).

    Raises:
        MissingDependencyError: bitsandbytes is not installed.
        ConfigError: ``"adamw8bit"`` was asked for on a device other than CUDA.
    """
    if kind == "adamw":
        return torch.optim.AdamW(groups, betas=betas, eps=1e-8, fused=True)
    if device.type != "cuda":
        raise ConfigError("optimizer adamw8bit cannot be used", got=f"device {device.type}", expected="a CUDA device")
    try:
        bitsandbytes = importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise MissingDependencyError(
            "optimizer adamw8bit needs bitsandbytes", do="pip install bitsandbytes, or use optimizer=adamw"
        ) from error
    optimizer: torch.optim.Optimizer = bitsandbytes.optim.AdamW8bit(groups, betas=betas, eps=1e-8)
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    """Sets every group's rate to its base rate times the schedule's multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * multiplier
