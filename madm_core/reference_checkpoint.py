"""The authors' checkpoints: their tensor names and ours, and how their files are read.

A reference checkpoint is a pickle ``{"model": state dict, ...}`` that holds everything: autoencoder, text encoder,
U-Net, student, exponential moving averages, and some tensors under two names (algorithm.md 16).
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from madm_core.errors import CheckpointError

_LDM = "backbone.feature_extractor.ldm_extractor."
_PROMPT = "backbone.feature_extractor.clip_project_rgb."
_TEXT = _LDM + "text_encoder."


def _name_pairs() -> Iterable[tuple[str, str]]:
    """(beginning of the reference's name, beginning of ours); the ends are the same."""
    yield _LDM + "unet.", "backbone.unet."
    yield _LDM + "vae.", "backbone.vae."
    yield _LDM + "shared_noise", "backbone.shared_noise.noise"
    yield _LDM + "uncond_inputs", "condition.unconditional"
    yield _PROMPT + "prompt_embed", "condition.prompt"
    yield _PROMPT + "alpha_cond_prompt", "condition.prompt_gate"
    yield _PROMPT + "alpha_uncond_prompt", "condition.unconditional_gate"
    yield _PROMPT + "time_embed", "condition.time"
    yield _PROMPT + "alpha_cond_time", "condition.time_gate"
    for scale in range(4):
        theirs, ours = f"backbone.feature_projections.{scale}.0.", f"projections.scales.{scale}."
        for conv, norm in (("conv1", "norm1"), ("conv2", "norm2"), ("conv3", "norm3"), ("shortcut", "shortcut_norm")):
            yield f"{theirs}{conv}.norm.", f"{ours}{norm}."
            yield f"{theirs}{conv}.weight", f"{ours}{conv}.weight"
        yield f"sem_seg_head.embed_layers.{scale}.proj.", f"head.embeddings.{scale}."
    layers = {"aspp_modules.0.": "point_branch.", "bottleneck.": "fusion."}
    for branch in range(3):
        layers[f"aspp_modules.{branch + 1}.depthwise_conv."] = f"dilated_branches.{branch}.0."
        layers[f"aspp_modules.{branch + 1}.pointwise_conv."] = f"dilated_branches.{branch}.1."
    for theirs, ours in layers.items():
        yield f"sem_seg_head.fuse_layer.{theirs}conv.", f"head.{ours}conv."
        yield f"sem_seg_head.fuse_layer.{theirs}bn.", f"head.{ours}norm."
    yield "sem_seg_head.conv_seg.", "head.classifier."


# Longest first, so that no beginning hides a longer one ("prompt" and "prompt_gate").
_TO_OURS = dict(sorted(_name_pairs(), key=lambda pair: -len(pair[0])))
_TO_REFERENCE = dict(sorted(((ours, theirs) for theirs, ours in _name_pairs()), key=lambda pair: -len(pair[0])))
_ALIASES = {
    "backbone.feature_extractor.clip_project_others.": _PROMPT,
    "sem_seg_head_sec_modal.": "sem_seg_head.",
}
"""Second names of modules that source and target share."""
_TEACHER = {
    "backbone.feature_extractor.ema_clip_project_others.": _PROMPT,
    "backbone.ema_feature_projections.": "backbone.feature_projections.",
    "ema_sem_seg_head.": "sem_seg_head.",
}
"""The teacher's moving averages, and the student's modules that they average."""


def to_reference_name(name: str) -> str:
    """The reference's name of a parameter or buffer of :class:`madm_core.model.madm.MadmNetwork`.

    >>> to_reference_name("head.classifier.weight")
    'sem_seg_head.conv_seg.weight'

    Raises:
        KeyError: The network has no such tensor.
    """
    renamed = _rename(name, _TO_REFERENCE)
    if renamed is None:
        raise KeyError(name)
    return renamed


def to_teacher_reference_name(name: str) -> str:
    """The reference's name of the moving average of a tensor of ``condition``, ``projections`` or ``head``.

    >>> to_teacher_reference_name("condition.prompt")
    'backbone.feature_extractor.ema_clip_project_others.prompt_embed'

    Raises:
        KeyError: The tensor has no moving average.
    """
    averaged = _rename(to_reference_name(name), {theirs: teacher for teacher, theirs in _TEACHER.items()})
    if averaged is None:
        raise KeyError(name)
    return averaged


def from_reference_name(reference_name: str) -> str | None:
    """Our name of a student's tensor, given by its first name in the reference; None for any other name.

    >>> from_reference_name("sem_seg_head.embed_layers.2.proj.bias")
    'head.embeddings.2.bias'
    """
    return _rename(reference_name, _TO_OURS)


@dataclass(frozen=True)
class ReferenceState:
    """The tensors of a reference checkpoint, sorted and under our names.

    Attributes:
        student: Everything of a :class:`madm_core.model.madm.MadmNetwork` that the file holds, base included.
        teacher: Moving averages of ``condition.*``, ``projections.*`` and ``head.*``, under the student's names.
        text_encoder: The text encoder's tensors under the names of current transformers.
        aliases: Reference names that repeated a tensor under a second name.
        unknown: Reference names that the network has nothing for.
    """

    student: dict[str, Tensor] = field(default_factory=dict)
    teacher: dict[str, Tensor] = field(default_factory=dict)
    text_encoder: dict[str, Tensor] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def split_reference_state(state: Mapping[str, Tensor]) -> ReferenceState:
    """Sort the tensors of a reference state dict.

    Args:
        state: By reference names, with or without a ``module.`` prefix.

    Raises:
        CheckpointError: Modules that the shipped configurations share differ: it is a checkpoint of another recipe.
    """
    parts = ReferenceState()
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    for name, tensor in plain.items():
        first_name = _rename(name, _ALIASES)
        if first_name is not None:
            if first_name not in plain:
                plain_name = _rename(first_name, _TO_OURS)
                if plain_name is not None:
                    parts.student[plain_name] = tensor
            elif not torch.equal(tensor, plain[first_name]):
                raise CheckpointError(
                    "the checkpoint has separate weights for source and target images",
                    got=f"{name} differs from {first_name}",
                    expected="one module under two names, as in the shipped depth, infrared and event configurations",
                )
            parts.aliases.append(name)
        elif name.startswith(_TEXT):
            parts.text_encoder[name.removeprefix(_TEXT).removeprefix("text_model.")] = tensor
        elif (averaged := _rename(name, _TEACHER)) is not None and (ours := _rename(averaged, _TO_OURS)) is not None:
            parts.teacher[ours] = tensor
        elif (ours := _rename(name, _TO_OURS)) is not None:
            parts.student[ours] = tensor
        else:
            parts.unknown.append(name)
    # transformers no longer keeps this constant, 0, 1, 2, ..., with the weights.
    parts.text_encoder.pop("embeddings.position_ids", None)
    return parts


def read_checkpoint_file(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of a PyTorch checkpoint without running any code that it may contain.

    Accepts ``{"model": state dict, ...}``, ``{"state_dict": ...}`` and a bare state dict; everything else in the file,
    such as the trainer's state, is left out.

    Raises:
        CheckpointError: The file is missing, truncated, not a checkpoint, or holds objects other than tensors and plain
            values.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"there is no checkpoint at {file}", do="check the path")
    # Numbers from numpy are harmless, and training programs like to leave them in their checkpoints.
    restore_number = np.float64(0).__reduce__()[0]
    harmless: list[Any] = [restore_number, np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "?"))]
    try:
        with torch.serialization.safe_globals(harmless):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = re.search(r"GLOBAL (\S+)|unrecognized function (\S+)", str(error))
        if unsafe is None:
            raise _unreadable(file, "not PyTorch's format") from error
        raise CheckpointError(
            f"will not load {file}",
            got=f"a pickle that wants to run {unsafe[1] or unsafe[2]}",
            expected="tensors and plain values only",
            do="if you trust where it comes from, load it there and save its 'model' entry alone with torch.save",
        ) from error
    except Exception as error:  # damaged pickles fail in many ways, none of which runs what they hold
        raise _unreadable(file, f"{type(error).__name__}: {str(error).strip().partition('. ')[0]}") from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} is not a checkpoint", got=type(content).__name__, expected="a state dict")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{file} holds no weights", got=f"keys {sorted(map(str, content))[:5]}")
    return tensors


def _rename(name: str, beginnings: Mapping[str, str]) -> str | None:
    """Replace the first of the beginnings that fits; None if none does."""
    for old, new in beginnings.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return None


def _unreadable(file: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"cannot read {file}",
        got=found,
        expected="a complete PyTorch checkpoint",
        do="download it again: it is truncated or not a checkpoint",
    )
