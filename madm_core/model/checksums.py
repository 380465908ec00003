"""SHA-256 of weights and of files, by which a model directory knows its own and its base's parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_CHUNK_BYTES = 1 << 22


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and float32 values of tensors; the file format they came from does not matter."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def directory_checksums(directory: Path) -> dict[str, dict[str, Any]]:
    """``{"bytes": size, "sha256": hash}`` of every file below a directory, by relative path."""
    files = sorted(file for file in directory.rglob("*") if file.is_file())
    return {
        file.relative_to(directory).as_posix(): {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        for file in files
    }


def find_damage(directory: Path, checksums: Mapping[str, Any]) -> str | None:
    """What is wrong with the first file that is not as :func:`directory_checksums` found it; None if all are."""
    for name, entry in checksums.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            return f"{name!r} lies outside the directory"
        file = directory / name
        if not file.is_file():
            return f"{name} is missing"
        size = file.stat().st_size
        if size != entry["bytes"]:
            return f"{name} has {size} of {entry['bytes']} bytes"
        if file_sha256(file) != entry["sha256"]:
            return f"{name} does not have the checksum that it was written with"
    return None
