"""Fixtures around the reference implementation's tiny network (test/data/golden/README.md), and broken outputs."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor

from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base
from madm_core.model.tiny_base import write_tiny_base
from madm_core.reference_checkpoint import ReferenceState, split_reference_state

GOLDEN_ARCHITECTURE = MadmArchitecture(
    classes=11,
    projection_channels=(32, 64, 64, 64),
    projection_bottleneck=32,
    embedding_channels=16,
    head_channels=16,
)


@pytest.fixture(scope="session")
def golden_state(golden: Path) -> dict[str, Tensor]:
    """The reference's complete tiny state by its own names, in float32."""
    with np.load(golden / "model_tiny_state.npz") as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


@pytest.fixture(scope="session")
def golden_parts(golden_state: dict[str, Tensor]) -> ReferenceState:
    """The same under our names."""
    return split_reference_state(golden_state)


@pytest.fixture(scope="session")
def golden_base(golden: Path, golden_parts: ReferenceState, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base directory that belongs to the golden numbers: its configurations, and the weights of the state."""
    directory = tmp_path_factory.mktemp("golden") / "tiny_sd"
    shutil.copytree(golden / "tiny_sd", directory)
    for part in ("unet", "vae"):
        prefix = f"backbone.{part}."
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in golden_parts.student.items()
            if name.startswith(prefix)
        }
        save_file(weights, directory / part / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    save_file(golden_parts.text_encoder, directory / "text_encoder" / "model.safetensors", metadata={"format": "pt"})
    return directory


@pytest.fixture(scope="session")
def golden_network(golden_base: Path, golden_parts: ReferenceState) -> Callable[[int], MadmNetwork]:
    """Makes the reference's tiny student for square images of a given size (128 or 512 in the golden files)."""

    def make(size: int) -> MadmNetwork:
        uncond = golden_parts.student["condition.unconditional"]
        network = MadmNetwork.from_base(load_base(golden_base), GOLDEN_ARCHITECTURE, (size, size), unconditional=uncond)
        added = {
            name: tensor
            for name, tensor in golden_parts.student.items()
            if not name.startswith("backbone.")  # the base is loaded, and the noise is made for the size
        }
        left = network.load_state_dict(added, strict=False)
        assert not left.unexpected_keys
        assert all(name.startswith("backbone.") for name in left.missing_keys)
        return network.eval()

    return make


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small random base directory."""
    return write_tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def broken_pipe() -> Iterator[int]:
    """The writing end of a pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture(params=["broken pipe", "full disk"])
def unwritable(request: pytest.FixtureRequest, broken_pipe: int) -> Iterator[int]:
    """A file descriptor to which nothing can be written."""
    if request.param == "broken pipe":
        yield broken_pipe
        return
    with Path("/dev/full").open("wb") as full:
        yield full.fileno()


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a model into an empty Hugging Face cache as the hub's package lays it out, and forbids to go online.

    The hub has a README, too, which nobody asked for. So the cache never holds all files that it lists.
    """
    cache, commit = tmp_path / "hub", "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(hub_id: str, source: Path, missing: Sequence[str] = (), *, listed: bool = True) -> Path:
        """The snapshot of ``source`` without the missing files; not listed, it is from an older package."""
        model = cache / f"models--{hub_id.replace('/', '--')}"
        snapshot = model / "snapshots" / commit
        for folder in ("blobs", "refs", "trees"):
            (model / folder).mkdir(parents=True)
        (model / "refs" / "main").write_text(commit)
        listing = {"README.md": {"size": 9, "blob_id": "f" * 40}}
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            name = file.relative_to(source).as_posix()
            blob = model / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
            listing[name] = {"size": file.stat().st_size, "blob_id": blob.name[:40]}
            if name not in missing:
                shutil.copy(file, blob)
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
        if listed:
            tree = {"format_version": 1, "files": listing}
            (model / "trees" / f"{commit}.json").write_text(json.dumps(tree))
        return snapshot

    return put
