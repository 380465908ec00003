"""Checkpoints that survive being killed at any moment: complete, checksummed, put in place by one rename."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from madm_core.errors import CheckpointError

logger = logging.getLogger(__name__)

_MANIFEST = "SHA256SUMS"
_STATE = "state.json"
_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.pt"


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on as if nothing had happened.

    Random generators are not in it: every draw follows from the seed and the step, and the step is.

    Args:
        step: Finished optimiser steps; the data position follows from it.
        weights: Student and teacher, BatchNorm's running statistics of every process included; the frozen base is not.
        optimizer: ``{"optimizer": state_dict, "scaler": state_dict or None}``.
        counters: Whatever else must be carried over; JSON values.
    """

    step: int
    weights: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any]
    counters: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes ``folder/step_N``; until it is complete, nothing is visible under that name.

    Raises:
        CheckpointError: It cannot be written (a full disk, say). Older checkpoints are untouched, the unfinished one is
            taken away.
    """
    target = folder / f"step_{checkpoint.step:06d}"
    unfinished = folder / f".step_{checkpoint.step:06d}.unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
        save_file(tensors, unfinished / _WEIGHTS)
        torch.save(dict(checkpoint.optimizer), unfinished / _OPTIMIZER)
        state = {"step": checkpoint.step, "counters": dict(checkpoint.counters)}
        (unfinished / _STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        files = sorted(path for path in unfinished.iterdir())
        sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in files)
        (unfinished / _MANIFEST).write_text(sums, encoding="utf-8")
        for path in unfinished.iterdir():
            _flush(path)
        _flush(unfinished)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(unfinished, target)
        _flush(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        # torch.save and safetensors report a full disk as errors of their own.
        shutil.rmtree(unfinished, ignore_errors=True)
        raise CheckpointError(
            f"cannot write the checkpoint {target}",
            got=str(error).splitlines()[0],
            do="free some space on the disk; the run goes on from the checkpoint before with --resume",
        ) from error
    return target


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is intact; a damaged one is passed over with a warning. None when there is none.

    Raises:
        CheckpointError: There are checkpoints, but none is intact.
    """
    candidates = list_checkpoints(folder)
    for path in reversed(candidates):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            logger.warning("%s; falling back to the checkpoint before", error)
    if candidates:
        raise CheckpointError(
            f"no checkpoint in {folder} is intact", got=f"{len(candidates)} damaged", do="start the run anew"
        )
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads and verifies one checkpoint.

    Raises:
        CheckpointError: A file is missing, truncated or altered.
    """
    try:
        lines = (path / _MANIFEST).read_text(encoding="utf-8").splitlines()
        for line in lines:
            expected, name = line.split("  ", 1)
            if _sha256(path / name) != expected:
                raise CheckpointError(f"the checkpoint {path} is damaged", got=f"another checksum of {name}")
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        weights = load_file(path / _WEIGHTS)
        optimizer = torch.load(path / _OPTIMIZER, map_location="cpu", weights_only=True)
        return Checkpoint(int(state["step"]), weights, optimizer, state["counters"])
    except CheckpointError:
        raise
    except Exception as error:  # damaged pickles and headers fail in many ways, none of which runs what they hold
        raise CheckpointError(f"the checkpoint {path} is damaged", got=error) from error


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints from old to new."""
    complete = (path for path in folder.glob("step_*") if (path / _MANIFEST).is_file())
    return sorted((path for path in complete if path.name.removeprefix("step_").isdecimal()), key=_step)


def prune(folder: Path, step: int, *, keep: int, best: int | None) -> None:
    """Deletes old checkpoints after that of ``step`` has been written.

    What remains is the newest ``keep`` up to ``step`` and the one of step ``best``. Later ones go too: the run was
    resumed from before them because they are damaged. So do leftovers of a killed process.
    """
    checkpoints = list_checkpoints(folder)
    kept = [path for path in checkpoints if _step(path) <= step][-keep:]
    for path in checkpoints:
        if path not in kept and _step(path) != best:
            # Without its manifest a half-deleted folder does not count as a checkpoint any more.
            try:
                (path / _MANIFEST).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("the old checkpoint %s stays, it cannot be deleted: %s", path, error)
            else:
                shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".step_*.unfinished"):
        shutil.rmtree(path, ignore_errors=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step_"))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
