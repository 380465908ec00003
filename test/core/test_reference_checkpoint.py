"""Names of the authors' tensors, and reading their files."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from madm_core.errors import CheckpointError
from madm_core.reference_checkpoint import (
    ReferenceState,
    from_reference_name,
    read_checkpoint_file,
    split_reference_state,
    to_reference_name,
    to_teacher_reference_name,
)


def full_size_keys(golden: Path) -> dict[str, str]:
    """Name -> role of the 1418 tensors of an authors' checkpoint."""
    lines = (golden / "checkpoint_keys.txt").read_text().splitlines()
    return {fields[0]: fields[3] for line in lines if not line.startswith("#") for fields in [line.split("\t")]}


def test_every_tensor_of_a_full_size_checkpoint_has_its_place(golden: Path) -> None:
    roles = full_size_keys(golden)
    parts = split_reference_state({name: torch.zeros(1) for name in roles})
    assert len(roles) == 1418
    assert not parts.unknown
    assert len(parts.aliases) == sum("alias-of" in role for role in roles.values()) == 63
    assert len(parts.text_encoder) == 196  # 197 with position_ids, a constant
    assert len(parts.student) == 1047
    ema = [name for name, role in roles.items() if role == "ema-copy"]
    assert {to_teacher_reference_name(name) for name in parts.teacher} >= set(ema)


def test_the_table_works_both_ways(golden_state: dict[str, Tensor], golden_parts: ReferenceState) -> None:
    for name, tensor in golden_parts.student.items():
        reference_name = to_reference_name(name)
        assert from_reference_name(reference_name) == name
        assert golden_state[reference_name] is tensor
    for name, tensor in golden_parts.teacher.items():
        assert golden_state[to_teacher_reference_name(name)] is tensor


def test_names_that_do_not_exist() -> None:
    with pytest.raises(KeyError):
        to_reference_name("head.neck.weight")
    with pytest.raises(KeyError):
        to_teacher_reference_name("backbone.unet.conv_in.weight")
    assert from_reference_name("ema_sem_seg_head.conv_seg.weight") is None


def test_the_optimised_names_are_ours_too(golden: Path, golden_parts: ReferenceState) -> None:
    lines = (golden / "optimizer_groups.txt").read_text().splitlines()
    stop = next(index for index, line in enumerate(lines) if line.startswith("## not optimised"))
    optimised = [line for line in lines[:stop] if not line.startswith("#")]
    assert len(optimised) == 769
    assert {from_reference_name(name) for name in optimised} <= set(golden_parts.student)


def test_prefix_of_distributed_training_is_dropped(golden_state: dict[str, Tensor]) -> None:
    parts = split_reference_state({f"module.{name}": tensor for name, tensor in golden_state.items()})
    assert len(parts.student) == 1047
    assert not parts.unknown


def test_a_tensor_that_only_has_its_second_name_is_used() -> None:
    weight = torch.ones(2)
    parts = split_reference_state({"sem_seg_head_sec_modal.conv_seg.bias": weight})
    assert parts.student == {"head.classifier.bias": weight}


def test_shared_modules_that_differ_are_refused() -> None:
    state = {"sem_seg_head.conv_seg.bias": torch.ones(2), "sem_seg_head_sec_modal.conv_seg.bias": torch.zeros(2)}
    with pytest.raises(CheckpointError, match="separate weights for source and target"):
        split_reference_state(state)


class TestReading:
    def test_training_extras_are_left_out(self, tmp_path: Path) -> None:
        trainer = {"optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "best": np.float64(56.7), "n": np.int64(3)}
        file = tmp_path / "training.pth"
        torch.save({"model": {"a": torch.ones(2)}, "trainer": trainer, "iteration": 999}, file)
        assert list(read_checkpoint_file(file)) == ["a"]

    def test_a_bare_state_dict(self, tmp_path: Path) -> None:
        file = tmp_path / "bare.pth"
        torch.save({"a": torch.ones(2), "b": torch.zeros(1)}, file)
        assert sorted(read_checkpoint_file(file)) == ["a", "b"]

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no checkpoint at"):
            read_checkpoint_file(tmp_path / "absent.pth")

    @pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
    def test_truncated(self, tmp_path: Path, kept: float) -> None:
        file = tmp_path / "cut.pth"
        torch.save({"model": {"a": torch.ones(4000)}}, file)
        content = file.read_bytes()
        file.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(CheckpointError, match="truncated or not a checkpoint"):
            read_checkpoint_file(file)

    def test_something_else(self, tmp_path: Path) -> None:
        file = tmp_path / "text.pth"
        file.write_text("<html>404</html>")
        with pytest.raises(CheckpointError, match="not a checkpoint"):
            read_checkpoint_file(file)

    def test_no_weights(self, tmp_path: Path) -> None:
        file = tmp_path / "empty.pth"
        torch.save({"model": {}}, file)
        with pytest.raises(CheckpointError, match="holds no weights"):
            read_checkpoint_file(file)

    @pytest.mark.parametrize("program", [b"\x80\x02}(K\x01u.", b"\x80\x02e.", b"\x80\x02h\x07."])
    def test_a_pickle_whose_program_is_damaged(self, tmp_path: Path, program: bytes) -> None:
        torch.save({"model": {"a": torch.ones(2)}}, tmp_path / "whole.pth")
        file = tmp_path / "damaged.pth"
        with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(file, "w") as damaged:
            for member in whole.namelist():
                damaged.writestr(member, program if member.endswith("data.pkl") else whole.read(member))
        with pytest.raises(CheckpointError, match="truncated or not a checkpoint"):
            read_checkpoint_file(file)

    @pytest.mark.parametrize("by_pickle", [True, False])
    def test_a_pickle_with_code_is_refused_and_its_code_not_run(self, tmp_path: Path, by_pickle: bool) -> None:
        trace = tmp_path / "trace"
        file = tmp_path / "evil.pth"
        content = {"model": {"a": torch.ones(2)}, "payload": _Payload(trace)}
        if by_pickle:
            file.write_bytes(pickle.dumps({"payload": _Payload(trace)}, protocol=2))
        else:
            torch.save(content, file)
        with pytest.raises(CheckpointError, match=r"wants to run posix\.mkdir"):
            read_checkpoint_file(file)
        assert not trace.exists()


class _Payload:
    """Makes a directory when it is unpickled."""

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.directory,)
