"""The base as a part of a model directory: its configurations, its weights or a reference to them, and their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from madm_core.errors import BaseModelError, ModelDirectoryError
from madm_core.model.assembly import UNET, unet_state
from madm_core.model.base_files import find_base, read_json
from madm_core.model.checksums import weights_sha256
from madm_core.model.madm import MadmNetwork
from madm_core.model.stable_diffusion import StableDiffusionBase, load_base, load_vae, model_from_config


def save_part(model: UNet2DConditionModel | AutoencoderKL, directory: Path) -> None:
    """diffusers' ``save_pretrained``, without the place that the model was loaded from."""
    model.save_pretrained(directory)
    (directory / "config.json").write_text(_configuration(model), encoding="utf-8")


def _configuration(model: UNet2DConditionModel | AutoencoderKL) -> str:
    config = json.loads(model.to_json_string())
    config.pop("_name_or_path", None)  # where it was loaded from on this machine is nobody's business
    return json.dumps(config, indent=2)


def write_base(directory: Path, network: MadmNetwork, *, weights: bool) -> None:
    """Write the base's configurations and, with ``weights``, the tensors that the model's own file does not hold."""
    backbone = network.backbone
    for folder, model in (("unet", backbone.unet), ("vae", backbone.vae)):
        (directory / folder).mkdir(parents=True)
        (directory / folder / "config.json").write_text(_configuration(model), encoding="utf-8")
    (directory / "scheduler").mkdir()
    scheduler_config = json.dumps(backbone.scheduler_config, indent=2)
    (directory / "scheduler" / "scheduler_config.json").write_text(scheduler_config, encoding="utf-8")
    if not weights:
        return
    states = {"vae": {name: tensor.cpu().contiguous() for name, tensor in backbone.vae.state_dict().items()}}
    if network.adapter is not None:
        states["unet"] = unet_state(network)
    for folder, state in states.items():
        file = directory / folder / "diffusion_pytorch_model.safetensors"
        save_file(state, file, metadata={"format": "pt"})


def describe_base(network: MadmNetwork, reference: str | Path | None) -> dict[str, Any]:
    """Where the base is, and hashes of its weights that ``model.safetensors`` does not hold."""
    return {
        "reference": None if reference is None else _portable_reference(reference),
        "vae_sha256": weights_sha256(network.backbone.vae.state_dict()),
        "unet_sha256": None if network.adapter is None else weights_sha256(unet_state(network)),
    }


def load_stored_base(
    directory: Path,
    entry: Mapping[str, Any],
    base: str | Path | StableDiffusionBase | None,
    state: Mapping[str, Tensor],
) -> StableDiffusionBase:
    """The base of a model directory, verified to be the one that the model was trained with.

    Args:
        directory: The model directory.
        entry: What :func:`describe_base` gave.
        base: Where the base is now, or the loaded base; its place at the time of writing when None.
        state: The model's stored tensors. The U-Net gets its weights from them; with an adapter, from the base.

    Raises:
        ModelDirectoryError: It is another base.
        BaseModelError: The base cannot be loaded, or the stored U-Net is not complete.
    """
    folder, adapted = directory / "base", entry["unet_sha256"] is not None
    if isinstance(base, StableDiffusionBase):
        if not adapted:
            raise ModelDirectoryError(
                f"{directory} cannot share a base with other models",
                got="a model with a whole U-Net of its own",
                expected="a model that was trained with LoRA adapters",
                do="give no base, or the path of one",
            )
        loaded = base
    else:
        place = folder if entry["reference"] is None else base or entry["reference"]
        unet = None if adapted else _stored_unet(folder, state)
        try:
            if unet is None:
                loaded = load_base(place)
            else:
                scheduler_config = read_json(folder / "scheduler" / "scheduler_config.json")
                loaded = StableDiffusionBase(str(place), unet, load_vae(find_base(place, ("vae",))), scheduler_config)
        except BaseModelError as error:
            if place != entry["reference"]:
                raise
            raise BaseModelError(
                f"the base of {directory} cannot be loaded from where the model says that it is",
                got=error,
                do="say where it is: option --base, the node's parameter base, or the key teacher_base of distill",
            ) from error
    hashes = {"autoencoder": (loaded.vae_sha256, entry["vae_sha256"])}
    if adapted:
        hashes["U-Net"] = (loaded.unet_sha256, entry["unet_sha256"])
    for part, (found, expected) in hashes.items():
        if found != expected:
            raise ModelDirectoryError(
                f"the base of {directory} is not the one that the model was trained with",
                got=f"another {part} in {loaded.name}",
                expected=f"weights with SHA-256 {expected}",
                do="give the base that the model was trained with",
            )
    return loaded


def _stored_unet(folder: Path, state: Mapping[str, Tensor]) -> UNet2DConditionModel:
    """The U-Net whose weights are among those of the model."""
    weights = {name.removeprefix(UNET): tensor for name, tensor in state.items() if name.startswith(UNET)}
    config = read_json(folder / "unet" / "config.json")
    return model_from_config(UNet2DConditionModel, config, weights, "model.safetensors")


def _portable_reference(base: str | Path) -> str:
    """A hub id as it is, a local directory as an absolute path: the reader may run elsewhere."""
    return str(Path(base).expanduser().resolve()) if Path(base).expanduser().is_dir() else str(base)
