"""Model directories: what training writes and the node reads (design.md 3.2).

``madm.json`` says what the model is and holds a checksum of every other file. ``model.safetensors`` holds the trained
weights and the precomputed text condition. The base's autoencoder, which is never trained, is either in ``base/`` or
referred to by path or hub id, with a hash of its weights.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from madm_core import __version__
from madm_core.config import from_mapping
from madm_core.errors import BaseModelError, CheckpointError, ConfigError, ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import Modality, modality_from_dict
from madm_core.model.assembly import assemble_network, stored_state
from madm_core.model.checksums import directory_checksums, find_damage
from madm_core.model.head import SegmentationHead
from madm_core.model.hub import cached_snapshot, download, looks_like_hub_id
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import StableDiffusionBase
from madm_core.model.stored_base import describe_base, load_stored_base, write_base

FORMAT = "madm model"
FORMAT_VERSION = 1
"""Raised when a directory written from then on could be misread by older code."""


@dataclass(frozen=True)
class LoadedModel:
    """What a model directory holds.

    Attributes:
        network: The network in float32 on the CPU, in evaluation mode.
        modality: How raw sensor data becomes the network's images.
        label_set: The network's classes.
        image_size: (height, width) of the network's images in pixels.
        description: ``madm.json`` as it was read, provenance included.
    """

    network: MadmNetwork
    modality: Modality
    label_set: LabelSet
    image_size: tuple[int, int]
    description: Mapping[str, Any]


def save_model_directory(
    path: str | Path,
    network: MadmNetwork,
    *,
    modality: Modality,
    label_set: LabelSet,
    image_size: tuple[int, int],
    base_reference: str | Path | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model directory. It is complete or it is not there: it is written beside its place and then renamed.

    Args:
        path: Where. An older model directory there is replaced, and stays if anything goes wrong.
        network: The network; only read.
        modality: How raw sensor data becomes the network's images.
        label_set: The network's classes.
        image_size: (height, width) that images are resized to.
        base_reference: Local directory or hub id of the base that holds the autoencoder; None copies what is needed of
            it into ``base/``.
        provenance: Where the model comes from: recipe, data, metrics, ... JSON values.

    Raises:
        ConfigError: The label set does not have the network's number of classes.
        ModelDirectoryError: Something else than a model directory is at ``path``, it cannot be written, or the network
            was already changed for inference.
    """
    target = Path(path)
    if not isinstance(network.head, SegmentationHead) or (network.architecture.lora and network.adapter is None):
        raise ModelDirectoryError(
            "a network that was made ready for inference cannot be saved",
            got="a folded head or a merged adapter",
            do="save it before a Segmenter takes it over",
        )
    if len(label_set) != network.architecture.classes:
        raise ConfigError(
            "the label set does not fit the network",
            got=f"{len(label_set)} classes in {label_set.name!r}",
            expected=f"{network.architecture.classes}, the classes of the network",
        )
    if target.exists() and not (target / "madm.json").is_file() and (target.is_file() or any(target.iterdir())):
        raise ModelDirectoryError(
            f"will not replace {target}", got="something that is not a model directory", do="give another path"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            save_file(stored_state(network), unfinished / "model.safetensors")
            write_base(unfinished / "base", network, weights=base_reference is None)
            description = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "written_by": f"madm_ros {__version__}",
                "modality": modality.to_dict(),
                "label_set": label_set.to_dict(),
                "image_size": list(image_size),
                "architecture": asdict(network.architecture),
                "base": describe_base(network, base_reference),
                "provenance": dict(provenance or {}),
                "files": directory_checksums(unfinished),
            }
            (unfinished / "madm.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            unfinished.chmod(0o755)
            _put_in_place(unfinished, target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise ModelDirectoryError(
            f"cannot write the model directory {target}", got=error, do="check free space and permissions"
        ) from error
    return target


def load_model_directory(path: str | Path, *, base: str | Path | StableDiffusionBase | None = None) -> LoadedModel:
    """Read and verify a model directory.

    Args:
        path: The directory.
        base: Where the base is now, for a directory that refers to one; its own reference when None. Models that were
            trained with LoRA can share a base that is already loaded: each adds its adapter to the one U-Net.

    Raises:
        ModelDirectoryError: It is missing, corrupt, truncated, of a newer format, or its base is another one.
        BaseModelError: The base that it refers to cannot be loaded.
    """
    directory = Path(path)
    description = read_description(directory)
    try:
        damage = find_damage(directory, description["files"])
        if damage:
            raise _corrupt(directory, damage)
        modality = modality_from_dict(description["modality"])
        label_set = LabelSet.from_dict(description["label_set"])
        height, width = (int(side) for side in description["image_size"])
        architecture = from_mapping(MadmArchitecture, description["architecture"], where="the architecture")
        entry = {key: description["base"][key] for key in ("reference", "vae_sha256", "unet_sha256")}
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(directory, f"madm.json: {type(error).__name__}: {error}") from error
    try:
        state = load_file(directory / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise _corrupt(directory, f"model.safetensors: {error}") from error
    try:
        network = assemble_network(load_stored_base(directory, entry, base, state), architecture, state)
    except CheckpointError as error:
        raise _corrupt(directory, f"model.safetensors: {error}") from error
    return LoadedModel(network, modality, label_set, (height, width), description)


def find_model_directory(path_or_hub_id: str | Path) -> Path:
    """The local directory of a model: itself, or the snapshot of a hub id of the form ``owner/name``.

    Raises:
        ModelDirectoryError: There is neither.
    """
    directory = Path(path_or_hub_id).expanduser()
    if directory.is_dir() or not looks_like_hub_id(path_or_hub_id):
        return directory
    try:
        snapshot = cached_snapshot(str(path_or_hub_id))
        if snapshot is not None and (snapshot / "model.safetensors").is_file():
            return snapshot
        return download(str(path_or_hub_id), ["madm.json", "model.safetensors", "base/**"])
    except BaseModelError as error:
        raise ModelDirectoryError(f"there is no model at {path_or_hub_id}", got=error, do="check the path") from error


def read_description(directory: Path) -> dict[str, Any]:
    """The content of ``madm.json``.

    Raises:
        ModelDirectoryError: There is none, it is not readable, or it is of a newer format.
    """
    file = directory / "madm.json"
    if not file.is_file():
        raise ModelDirectoryError(
            f"there is no model directory at {directory}",
            got="no madm.json" if directory.is_dir() else "no such directory",
            expected="a directory written by train_adapt or import_checkpoint",
            do="check the path",
        )
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        version = int(description["format_version"])
        known = description["format"] == FORMAT
        files = description["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(directory, f"madm.json: {type(error).__name__}: {error}") from error
    if not known or not isinstance(files, dict):
        raise _corrupt(directory, f"madm.json is not of format {FORMAT!r}")
    if version > FORMAT_VERSION:
        raise ModelDirectoryError(
            f"the model directory {directory} was written by a newer version",
            got=f"format {version} ({description.get('written_by', 'unknown program')})",
            expected=f"format {FORMAT_VERSION} or older",
            do="update madm_ros",
        )
    assert isinstance(description, dict)
    return description


def _corrupt(directory: Path, problem: str) -> ModelDirectoryError:
    return ModelDirectoryError(
        f"the model directory {directory} is damaged", got=problem, do="copy or download it again, or write it anew"
    )


def _put_in_place(unfinished: Path, target: Path) -> None:
    """Rename a finished directory to its name, over an older one if there is one."""
    for file in unfinished.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            file.chmod(0o644)  # safetensors makes files that only their owner can read
    if not target.exists():
        unfinished.rename(target)
        return
    older = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(older / "model")
    try:
        unfinished.rename(target)
    except OSError:
        (older / "model").rename(target)
        raise
    finally:
        shutil.rmtree(older, ignore_errors=True)
