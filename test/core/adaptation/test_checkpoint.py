"""Checkpoints on the disk: complete or not there, whatever is damaged, full or killed in between."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from madm_core.adaptation import checkpoint as checkpoint_module
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


def test_weights_of_any_layout_and_with_gradients(tmp_path):
    weights = {"t": torch.arange(6.0).reshape(2, 3).T, "g": torch.ones(2, requires_grad=True)}
    loaded = load_checkpoint(save_checkpoint(tmp_path / "new" / "run", Checkpoint(1, weights, {}, {})))
    assert torch.equal(loaded.weights["t"], weights["t"]) and loaded.weights["t"].shape == (3, 2)
    assert torch.equal(loaded.weights["g"], torch.ones(2)) and not loaded.weights["g"].requires_grad


def test_what_a_killed_process_left_does_not_get_into_the_next_checkpoint(tmp_path):
    (tmp_path / ".step_000007.unfinished").mkdir()
    (tmp_path / ".step_000007.unfinished" / "junk").touch()
    path = save_checkpoint(tmp_path, checkpoint(7))
    assert names(path) == ["SHA256SUMS", "optimizer.pt", "state.json", "weights.safetensors"]
    assert names(tmp_path) == ["step_000007"]


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real_fsync(descriptor)

    def replace(source, target):
        done.append("renamed")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    save_checkpoint(tmp_path, checkpoint(7))
    files = {"SHA256SUMS", "optimizer.pt", "state.json", "weights.safetensors"}
    assert set(done[:4]) == files and done[4:] == [".step_000007.unfinished", "renamed", tmp_path.name]
    assert not [link for link in Path("/proc/self/fd").iterdir() if os.path.realpath(link).startswith(str(tmp_path))]


@pytest.mark.parametrize("error", [OSError("No space left on device"), RuntimeError("unexpected pos 64 vs 0\nmore")])
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch, error):
    save_checkpoint(tmp_path, checkpoint(1))

    def save(*_):
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(CheckpointError, match="cannot write the checkpoint .*step_000002.*got") as refused:
        save_checkpoint(tmp_path, checkpoint(2))
    assert "more" not in str(refused.value)
    assert names(tmp_path) == ["step_000001"] and load_newest(tmp_path).step == 1


def test_pickled_code_is_not_run_even_with_the_right_checksum(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    path = save_checkpoint(tmp_path, checkpoint(1))
    before = hashlib.sha256((path / "optimizer.pt").read_bytes()).hexdigest()
    torch.save({"optimizer": Evil()}, path / "optimizer.pt", pickle_module=pickle)
    after = hashlib.sha256((path / "optimizer.pt").read_bytes()).hexdigest()
    sums = (path / "SHA256SUMS").read_text()
    assert before in sums
    (path / "SHA256SUMS").write_text(sums.replace(before, after))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(path)
    assert not (tmp_path / "owned").exists()


def test_the_manifest_is_what_sha256sum_checks(tmp_path):
    path = save_checkpoint(tmp_path, checkpoint(1))
    lines = (path / "SHA256SUMS").read_text().splitlines()
    files = ["optimizer.pt", "state.json", "weights.safetensors"]
    assert lines == [f"{hashlib.sha256((path / file).read_bytes()).hexdigest()}  {file}" for file in files]


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


def test_a_damaged_checkpoint_is_named_in_a_warning(tmp_path, caplog):
    save_checkpoint(tmp_path, checkpoint(1))
    (save_checkpoint(tmp_path, checkpoint(2)) / "weights.safetensors").write_bytes(b"")
    assert load_newest(tmp_path).step == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "step_000002 is damaged" in record.getMessage()
    assert "another checksum of weights.safetensors" in record.getMessage()


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


def test_a_checkpoint_that_is_being_deleted_does_not_count(tmp_path, monkeypatch):
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))
    monkeypatch.setattr(checkpoint_module.shutil, "rmtree", lambda *_, **__: None)  # killed there
    prune(tmp_path, 2, keep=1, best=None)
    monkeypatch.undo()
    assert names(tmp_path) == ["step_000001", "step_000002"]
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_000002"]


def test_files_that_cannot_be_deleted_do_not_end_the_run(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, checkpoint(1))
    (tmp_path / ".step_000009.unfinished").mkdir()
    real = shutil.rmtree

    def rmtree(path, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError(path)
        real(path, ignore_errors=True)

    monkeypatch.setattr(checkpoint_module.shutil, "rmtree", rmtree)
    save_checkpoint(tmp_path, checkpoint(2))
    prune(tmp_path, 2, keep=1, best=None)
    assert names(tmp_path) == ["step_000002"]


def test_a_checkpoint_that_may_not_be_deleted_stays_whole_and_is_named(tmp_path, monkeypatch, caplog):
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))

    def unlink(path, missing_ok=False):
        raise PermissionError(path)

    monkeypatch.setattr(Path, "unlink", unlink)
    prune(tmp_path, 2, keep=1, best=None)
    assert "step_000001" in caplog.text
    assert load_checkpoint(tmp_path / "step_000001").step == 1


def test_a_checkpoint_that_somebody_else_is_deleting_is_no_error(tmp_path, monkeypatch):
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))
    listed = list_checkpoints(tmp_path)
    (listed[0] / "SHA256SUMS").unlink()
    monkeypatch.setattr(checkpoint_module, "list_checkpoints", lambda folder: listed)
    prune(tmp_path, 2, keep=1, best=None)
    assert names(tmp_path) == ["step_000002"]


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
