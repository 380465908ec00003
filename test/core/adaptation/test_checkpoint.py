from __future__ import annotations

import pytest
import torch

from madm_core.adaptation.checkpoint import (
    Checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    prune,
    save_checkpoint,
)
from madm_core.errors import CheckpointError


def checkpoint(step):
    return Checkpoint(step, {"w": torch.full((3,), float(step))}, {"optimizer": {"lr": 0.1}, "scaler": None}, {"n": 1})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back(tmp_path):
    path = save_checkpoint(tmp_path, checkpoint(7))
    loaded = load_checkpoint(path)
    assert (loaded.step, loaded.counters, loaded.optimizer) == (7, {"n": 1}, {"optimizer": {"lr": 0.1}, "scaler": None})
    assert torch.equal(loaded.weights["w"], torch.full((3,), 7.0))
    assert names(tmp_path) == ["step_000007"]


def test_saving_a_step_again_replaces_it(tmp_path):
    save_checkpoint(tmp_path, checkpoint(7))
    changed = Checkpoint(7, {"w": torch.zeros(3)}, {}, {})
    assert torch.equal(load_checkpoint(save_checkpoint(tmp_path, changed)).weights["w"], torch.zeros(3))


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.pt", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("harm", ["truncated", "altered", "missing"])
def test_every_kind_of_damage_is_found(tmp_path, file, harm):
    save_checkpoint(tmp_path, checkpoint(1))
    victim = save_checkpoint(tmp_path, checkpoint(2)) / file
    content = victim.read_bytes()
    if harm == "truncated":
        victim.write_bytes(content[: len(content) // 2])
    elif harm == "altered":
        victim.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    else:
        victim.unlink()
    assert load_newest(tmp_path).step == 1


def test_nothing_intact_is_an_error_and_nothing_at_all_is_none(tmp_path):
    assert load_newest(tmp_path) is None
    (save_checkpoint(tmp_path, checkpoint(1)) / "weights.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint .* is intact"):
        load_newest(tmp_path)


def test_order_is_by_number_whatever_its_length(tmp_path):
    for step in (1_000_000, 999_999, 5):
        save_checkpoint(tmp_path, checkpoint(step))
    (tmp_path / "step_000005_copy").mkdir()
    (tmp_path / "step_000005_copy" / "SHA256SUMS").touch()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_000005", "step_999999", "step_1000000"]


def test_pruning_keeps_the_newest_and_the_best_and_clears_leftovers(tmp_path):
    for step in range(1, 6):
        save_checkpoint(tmp_path, checkpoint(step))
    (tmp_path / ".step_000004.unfinished").mkdir()
    prune(tmp_path, 5, keep=2, best=1)
    assert names(tmp_path) == ["step_000001", "step_000004", "step_000005"]


def test_pruning_after_a_fallback_never_prefers_the_damaged_later_one(tmp_path):
    save_checkpoint(tmp_path, checkpoint(4))
    (save_checkpoint(tmp_path, checkpoint(9)) / "weights.safetensors").write_bytes(b"")
    save_checkpoint(tmp_path, checkpoint(6))
    prune(tmp_path, 6, keep=1, best=None)
    assert names(tmp_path) == ["step_000006"]
    assert load_newest(tmp_path).step == 6


def test_an_unwritable_folder_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
        save_checkpoint(tmp_path / "file", checkpoint(1))
