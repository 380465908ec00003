"""Turns an authors' checkpoint into a network (issue: their weights run in ROS 2 five minutes after the download)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from madm_core.errors import BaseModelError, CheckpointError
from madm_core.labels import LabelSet
from madm_core.model.assembly import CONDITION, NOISE, UNET, VAE, assemble_network
from madm_core.model.base_files import find_base, read_json
from madm_core.model.diffusion_backbone import latent_stride
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.noise import SharedNoise
from madm_core.model.stable_diffusion import (
    StableDiffusionBase,
    check_shapes,
    load_vae,
    model_from_config,
    noise_schedule,
)
from madm_core.model.text_encoder import encode_empty_prompt
from madm_core.reference_checkpoint import ReferenceState, read_checkpoint_file, split_reference_state

logger = logging.getLogger(__name__)

REFERENCE_IMAGE_SIZE = (512, 512)
"""The only image size that the reference works at."""


@dataclass(frozen=True)
class ImportedModel:
    """A network made from an authors' checkpoint.

    Attributes:
        network: The network, float32, in evaluation mode.
        label_set: Its classes.
        image_size: (height, width) of its images in pixels.
        report: Lines that say which tensors were used, left out, and taken from the base instead.
    """

    network: MadmNetwork
    label_set: LabelSet
    image_size: tuple[int, int]
    report: tuple[str, ...]


def import_reference_checkpoint(
    checkpoint: str | Path, base: str | Path, *, label_set: LabelSet | None = None, teacher: bool = False
) -> ImportedModel:
    """Read an authors' checkpoint and build its network.

    Args:
        checkpoint: The ``.pth`` file.
        base: Diffusers directory or hub id of the base. Its configurations are needed; its weights only for what the
            checkpoint lacks.
        label_set: The classes; by their number (9 or 11) the paper's when None.
        teacher: Use the exponential moving averages of prompt, projections and head instead of the student's.

    Raises:
        CheckpointError: The file is missing, damaged, of another architecture, or of another number of classes.
        BaseModelError: The base is missing, incomplete, or of another family.
    """
    parts = split_reference_state(read_checkpoint_file(checkpoint))
    _refuse_other_models(parts)
    state = {**parts.student, **parts.teacher} if teacher else dict(parts.student)
    architecture = _architecture(state)
    label_set = _fitting_label_set(label_set, architecture.classes)
    if teacher and not parts.teacher:
        raise CheckpointError(f"{checkpoint} has no teacher", got="no ema_* tensors", do="import the student")

    configs = find_base(base, ("unet", "vae", "scheduler"), weights=False)
    unet_config, vae_config = (read_json(configs / folder / "config.json") for folder in ("unet", "vae"))
    check_shapes(unet_config, vae_config, str(base))
    scheduler_config = read_json(configs / "scheduler" / "scheduler_config.json")
    from_base = []
    try:
        unet = model_from_config(UNet2DConditionModel, unet_config, _beginning_with(UNET, state), "the U-Net")
        vae_state = _beginning_with(VAE, state)
        if vae_state:
            vae = model_from_config(AutoencoderKL, vae_config, vae_state, "the autoencoder")
        else:
            vae = load_vae(find_base(base, ("vae",)))
            from_base.append("autoencoder")
    except BaseModelError as error:
        raise CheckpointError(
            f"the checkpoint {checkpoint} does not fit the base {base}",
            got=error,
            expected="a MADM checkpoint that was trained on this base",
            do="give the base that it was trained on: CompVis/stable-diffusion-v1-4 for the published ones",
        ) from error
    if CONDITION not in state:
        state[CONDITION] = encode_empty_prompt(base)
        from_base.append("embedding of the empty prompt")
    if NOISE not in state:
        height, width = (side // latent_stride(vae) for side in REFERENCE_IMAGE_SIZE)
        drawn = SharedNoise(noise_schedule(scheduler_config), (height, width))
        state[NOISE] = drawn.noise
        from_base.append("shared noise (drawn anew from its fixed seed)")
    network = assemble_network(StableDiffusionBase(str(base), unet, vae, scheduler_config), architecture, state)
    height, width = (side * latent_stride(vae) for side in state[NOISE].shape[-2:])
    return ImportedModel(
        network,
        label_set,
        (height, width),
        _report(parts, teacher, from_base),
    )


def _beginning_with(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _refuse_other_models(parts: ReferenceState) -> None:
    """Refuse a state dict that is not MADM's, or of a MADM with parts that this network does not have."""
    ours = ("backbone.", "sem_seg_head", "ema_sem_seg_head")
    foreign = [name for name in parts.unknown if name.startswith(ours)]
    if not parts.student or foreign:
        found = foreign or parts.unknown
        raise CheckpointError(
            "the checkpoint is of another architecture",
            got=f"{len(found)} tensors that MADM does not have (e.g. {found[0]})" if found else "no MADM weights",
            expected="weights of the authors' depth, infrared or event configuration",
        )


def _architecture(state: Mapping[str, Tensor]) -> MadmArchitecture:
    """The sizes of projections and head, read off their tensors' shapes."""
    try:
        channels = [state[f"projections.scales.{scale}.conv3.weight"].shape[0] for scale in range(4)]
        classes, head_channels = state["head.classifier.weight"].shape[:2]
        return MadmArchitecture(
            classes=classes,
            projection_channels=(channels[0], channels[1], channels[2], channels[3]),
            projection_bottleneck=state["projections.scales.0.conv1.weight"].shape[0],
            embedding_channels=state["head.embeddings.0.weight"].shape[0],
            head_channels=head_channels,
        )
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(
            "the checkpoint is incomplete or of another architecture",
            got=f"{type(error).__name__}: {error}",
            expected="prompt, projections and head of MADM",
        ) from error


def _fitting_label_set(label_set: LabelSet | None, classes: int) -> LabelSet:
    if label_set is None:
        name = {9: "madm9", 11: "madm11"}.get(classes)
        if name is None:
            raise CheckpointError(
                "the checkpoint has a number of classes of its own",
                got=f"{classes} classes",
                expected="9 or 11, as the published ones have",
                do="give its label set",
            )
        return LabelSet.named(name)
    if len(label_set) != classes:
        raise CheckpointError(
            "the checkpoint does not fit the label set",
            got=f"{classes} classes in the checkpoint, {len(label_set)} in {label_set.name!r}",
            expected="the same number",
            do="give the label set that it was trained with, or none",
        )
    return label_set


def _report(parts: ReferenceState, teacher: bool, from_base: list[str]) -> tuple[str, ...]:
    """What happened to every tensor of the file."""
    averaged = len(parts.teacher)
    lines = [
        f"used: {len(parts.student)} tensors" + (f", {averaged} of them the teacher's averages" if teacher else ""),
        f"second names of the same tensors: {len(parts.aliases)}",
        f"left out: {averaged} of the {'student' if teacher else 'teacher'}, "
        f"{len(parts.text_encoder)} of the text encoder (its output for the empty prompt is stored)",
    ]
    if parts.unknown:
        lines.append(f"unknown and left out: {len(parts.unknown)}, e.g. {parts.unknown[0]}")
    lines.append("missing in the file, taken from the base: " + (", ".join(from_base) or "nothing"))
    return tuple(lines)
