"""What all model directories have in common, whatever network is in them: ``madm.json``, checksums, and being complete.

``madm.json`` says what the model is and holds size and SHA-256 of every other file. A directory is written beside its
place and renamed when it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError

from madm_core import __version__
from madm_core.errors import ConfigError, ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import Modality, modality_from_dict
from madm_core.modalities.input_statistics import InputStatistics
from madm_core.model.checksums import directory_checksums, find_damage
from madm_core.model.network import NetworkKind

FORMAT = "madm model"
FORMAT_VERSION = 2
"""The newest format that is understood: 1 are ``madm`` networks as published, 2 all other kinds and variants."""

MAX_SIDE = 8192
"""Longest side of a network's image: more is a damaged number, and memory for it would be asked for."""


@dataclass(frozen=True)
class ModelHeader:
    """The part of ``madm.json`` that every kind of network has.

    Attributes:
        kind: The kind of network.
        modality: How raw sensor data becomes the network's images.
        label_set: The network's classes.
        image_size: (height, width) of the network's images in pixels.
        input_statistics: What the training pictures looked like; None when nobody measured them.
    """

    kind: NetworkKind
    modality: Modality
    label_set: LabelSet
    image_size: tuple[int, int]
    input_statistics: InputStatistics | None = None


def write_model_directory(
    path: str | Path,
    header: ModelHeader,
    *,
    classes: int,
    version: int,
    fill: Callable[[Path], Mapping[str, Any]],
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model directory of any kind. It is complete or it is not there.

    Args:
        path: Where. An older model directory there is replaced, and stays if anything goes wrong.
        header: What the model is.
        classes: The network's number of classes, to be compared with the label set.
        version: Format version that a reader must understand: 1 for a ``madm`` network as published, else 2.
        fill: Writes the network's files into an empty directory and returns what else ``madm.json`` says about it.
        provenance: Where the model comes from: recipe, data, metrics, ... JSON values.

    Raises:
        ConfigError: The label set does not have the network's number of classes.
        ModelDirectoryError: Something else than a model directory is at ``path``, or it cannot be written.
    """
    target = Path(path)
    check_classes(header.label_set, classes)
    if target.exists() and not (target / "madm.json").is_file() and (target.is_file() or any(target.iterdir())):
        raise ModelDirectoryError(
            f"will not replace {target}", got="something that is not a model directory", do="give another path"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            described = fill(unfinished)
            description = {
                "format": FORMAT,
                "format_version": version,
                "written_by": f"madm_ros {__version__}",
                "network": header.kind,
                "modality": header.modality.to_dict(),
                "label_set": header.label_set.to_dict(),
                "image_size": list(header.image_size),
                **described,
                **({"input_statistics": header.input_statistics.to_dict()} if header.input_statistics else {}),
                "provenance": dict(provenance or {}),
                "files": directory_checksums(unfinished),
            }
            (unfinished / "madm.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            unfinished.chmod(0o755)
            _put_in_place(unfinished, target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as an error of its own
        raise ModelDirectoryError(
            f"cannot write the model directory {target}", got=error, do="check free space and permissions"
        ) from error
    return target


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
            expected="a directory written by train_adapt, import_checkpoint, distill or export_model",
            do="check the path",
        )
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        version = int(description["format_version"])
        known = description["format"] == FORMAT
        files = description["files"]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise damaged(directory, f"madm.json: {type(error).__name__}: {error}") from error
    if not known or not isinstance(files, dict):
        raise damaged(directory, f"madm.json is not of format {FORMAT!r}")
    if version > FORMAT_VERSION:
        raise ModelDirectoryError(
            f"the model directory {directory} was written by a newer version",
            got=f"format {version} ({description.get('written_by', 'unknown program')})",
            expected=f"format {FORMAT_VERSION} or older",
            do="update madm_ros",
        )
    assert isinstance(description, dict)
    return description


def verified_header(directory: Path, description: Mapping[str, Any]) -> ModelHeader:
    """The common part of a description, after all files were compared with their checksums.

    Raises:
        ModelDirectoryError: A file is damaged, or the description cannot be understood.
    """
    try:
        damage = find_damage(directory, description["files"])
        if damage:
            raise damaged(directory, damage)
        height, width = (int(side) for side in description["image_size"])
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise damaged(directory, f"madm.json: images of {width}x{height} pixels")
        modality = modality_from_dict(description["modality"])
        label_set = LabelSet.from_dict(description["label_set"])
        measured = description.get("input_statistics")
        statistics = None if measured is None else InputStatistics.from_dict(measured)
    except (OSError, ConfigError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise damaged(directory, f"madm.json: {type(error).__name__}: {error}") from error
    kind = description.get("network", "madm")  # directories from before there were others do not say it
    if kind not in get_args(NetworkKind):
        raise damaged(directory, f"madm.json: a network of the unknown kind {kind!r}")
    return ModelHeader(kind, modality, label_set, (height, width), statistics)


def check_classes(label_set: LabelSet, classes: int) -> None:
    """Raise :class:`ConfigError` when a label set is not one for that number of classes."""
    if len(label_set) != classes:
        raise ConfigError(
            "the label set does not fit the network",
            got=f"{len(label_set)} classes in {label_set.name!r}",
            expected=f"{classes}, the classes of the network",
        )


def damaged(directory: Path, problem: str) -> ModelDirectoryError:
    """The error that says what is wrong with a model directory."""
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
