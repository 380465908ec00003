"""Finds the files of a Stable Diffusion base, on disk or on the Hugging Face hub, and refuses other model families."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madm_core.errors import BaseModelError
from madm_core.model.hub import cached_or_downloaded, download, looks_like_hub_id
from madm_core.shipped_files import BASES, shipped_directory

_FILES = ("config.json", "*_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
_SAFE_WEIGHTS = ("diffusion_pytorch_model*.safetensors", "model*.safetensors", "*.safetensors.index.json")
_PICKLED_WEIGHTS = ("diffusion_pytorch_model*.bin", "pytorch_model*.bin", "*.bin.index.json")
_VARIANTS = ("*.fp16.*", "*.non_ema.*")
_REFUSED = {
    "StableDiffusionXL": "SDXL's U-Net has three levels and two text encoders; MADM needs four levels and one",
    "StableDiffusion3": "Stable Diffusion 3 is a transformer and has no U-Net up path to take features from",
    "Flux": "Flux is a transformer and has no U-Net up path to take features from",
    "LatentConsistency": "its U-Net takes a guidance embedding that MADM does not have",
}


def find_base(path_or_hub_id: str | Path, folders: Sequence[str], *, weights: bool = True) -> Path:
    """A local directory that holds the given folders of a base.

    A directory on disk is used as it is, then one that comes with this package. Otherwise a name of the form
    ``owner/name`` is looked for in the local Hugging Face cache, and only if it is not there, downloaded; never when
    ``HF_HUB_OFFLINE`` is set.

    Args:
        path_or_hub_id: A diffusers directory, or a hub id such as ``CompVis/stable-diffusion-v1-4``.
        folders: The folders needed, e.g. ``("unet", "vae", "scheduler")``.
        weights: Whether their weights are needed; without, only configurations are downloaded.

    Raises:
        BaseModelError: Nothing is there, a folder is missing, or it is another family of models.
    """
    directory = Path(path_or_hub_id).expanduser()
    if not directory.is_dir():
        directory = shipped_directory(path_or_hub_id, BASES) or _from_hub(path_or_hub_id, folders, weights)
    refuse_other_families(directory)
    missing = [folder for folder in folders if not _holds_config(directory / folder)]
    if missing:
        raise BaseModelError(
            f"the base {path_or_hub_id} is incomplete",
            got=f"no {' and no '.join(f'{folder}/*config.json' for folder in missing)}",
            expected=f"a diffusers directory with {', '.join(f'{folder}/' for folder in folders)}",
            do="download the base again, or save it with diffusers' save_pretrained",
        )
    return directory


def refuse_other_families(directory: Path) -> None:
    """Raise :class:`BaseModelError` with the reason if ``directory`` holds a model that MADM cannot stand on."""
    index = read_json(directory / "model_index.json") if (directory / "model_index.json").is_file() else {}
    family = str(index.get("_class_name", ""))
    reason = next((why for name, why in _REFUSED.items() if family.startswith(name)), None)
    if reason is None and (directory / "text_encoder_2").is_dir():
        family, reason = "a model with two text encoders", _REFUSED["StableDiffusionXL"]
    if reason is None and (directory / "transformer").is_dir() and not (directory / "unet").is_dir():
        family, reason = "a diffusion transformer", "it has no U-Net up path to take features from"
    if reason is not None:
        raise BaseModelError(
            f"the base {directory} is of a family that MADM does not support",
            got=f"{family} ({reason})",
            expected="a Stable Diffusion 1.x model",
            do="use e.g. CompVis/stable-diffusion-v1-4",
        )


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a base.

    Raises:
        BaseModelError: It cannot be read or is not a JSON object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BaseModelError(f"cannot read {file}", got=error, expected="a JSON object") from error
    if not isinstance(content, dict):
        raise BaseModelError(f"cannot use {file}", got=type(content).__name__, expected="a JSON object")
    return content


def _holds_config(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "scheduler_config.json", "tokenizer_config.json"))


def _from_hub(path_or_hub_id: str | Path, folders: Sequence[str], weights: bool) -> Path:
    """The snapshot of a hub model: from the local cache if it is complete there, else downloaded."""
    if not looks_like_hub_id(path_or_hub_id):
        raise BaseModelError(
            f"there is no base at {path_or_hub_id}",
            expected="an existing diffusers directory or a hub id like CompVis/stable-diffusion-v1-4",
            do="check the path",
        )
    hub_id = str(path_or_hub_id)
    files = _FILES + _SAFE_WEIGHTS if weights else _FILES
    patterns = ["model_index.json", *(f"{folder}/{file}" for folder in folders for file in files)]

    def incomplete(snapshot: Path) -> list[str]:
        return [folder for folder in folders if not _is_complete(snapshot / folder, weights)]

    snapshot = cached_or_downloaded(hub_id, patterns, lambda cached: not incomplete(cached), _VARIANTS)
    pickled = incomplete(snapshot)
    if pickled:
        snapshot = download(hub_id, [f"{folder}/{file}" for folder in pickled for file in _PICKLED_WEIGHTS], _VARIANTS)
    return snapshot


def _is_complete(folder: Path, weights: bool) -> bool:
    """Whether a folder holds its configuration and, where they are needed, weights."""
    weightless = not weights or folder.name in ("scheduler", "tokenizer")
    return _holds_config(folder) and (weightless or any((*folder.glob("*.safetensors"), *folder.glob("*.bin"))))
