"""A whole distillation: learns, resumes bit for bit, stops on numbers that are not finite, and writes a model."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from madm_core.config import from_mapping, load_config
from madm_core.errors import BaseModelError, ConfigError, DataError, MadmError
from madm_core.labels import LabelSet
from madm_core.modalities import DepthModality
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base
from madm_core.model.tiny_base import write_tiny_base
from madm_core.model_directory import save_model_directory
from madm_core.segmenter import Segmenter
from madm_core.student import distillation
from madm_core.student.distillation import Distillation
from madm_core.student.distillation_config import DistillationConfig
from madm_ros.commands.distill import main

SHIPPED = sorted((Path(__file__).resolve().parents[3] / "config/train").glob("distill_*.yaml"))


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch, small_architecture):
    """Students of the teacher's few thousand weights."""
    monkeypatch.setattr(
        distillation.StudentArchitecture, "of_size", classmethod(lambda cls, size, classes: small_architecture)
    )


@pytest.fixture
def fields(teacher_directory: Path, frames_folder: Path, tmp_path: Path) -> dict:
    return {
        "output": str(tmp_path / "run"),
        "teacher": str(teacher_directory),
        "frames": {"kind": "folder", "images": str(frames_folder / "images")},
        "validation": {
            "kind": "folder",
            "images": str(frames_folder / "images"),
            "labels": str(frames_folder / "labels"),
        },
        "max_steps": 12,
        "batch_size": 2,
        "learning_rate": 0.01,
        "device": "cpu",
        "log_every": 1,
        "validate_every": 6,
        "checkpoint_every": 3,
        "cache": str(tmp_path / "cache"),
    }


def run(fields: dict, *, resume: bool = False, **changes):
    config = from_mapping(DistillationConfig, {**fields, **changes})
    return Distillation(config, resume=resume, progress=False)


def metrics(output: str) -> list[dict]:
    return [json.loads(line) for line in (Path(output) / "metrics.jsonl").read_text().splitlines()]


def test_a_student_comes_to_agree_with_its_teacher(fields):
    result = run(fields, max_steps=50, batch_size=4, learning_rate=0.03, crop_scale=[0.9, 1.0], validate_every=0).run()
    assert result.finished and result.comparison.frames == 8
    losses = [line["loss"] for line in metrics(fields["output"]) if "loss" in line]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    student = Segmenter.from_pretrained(result.model, device="cpu")
    assert (student.modality.name, student.image_size) == ("depth", (32, 64))
    assert 0 < student.input_statistics.mean["picture_mean"] < 1 and student.input_statistics.frames == 8
    scores = json.loads((result.model / "madm.json").read_text())["provenance"]["scores"]
    assert scores["agreement"] == result.comparison.agreement > 0.3  # one class for all would reach 0.2
    assert 0 < scores["mean_iou"] < 1 and 0 < scores["teacher_mean_iou"] < 1


def test_an_interrupted_run_ends_with_the_same_weights(fields, tmp_path, monkeypatch):
    whole = run(fields)
    whole.run()
    cut = run(fields, output=str(tmp_path / "cut"))
    train_step = cut._train_step

    def signalled(*arguments):
        train_step(*arguments)
        if cut.step == 5:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(cut, "_train_step", signalled)
    assert not cut.run().finished
    resumed = run(fields, output=str(tmp_path / "cut"), resume=True)
    assert resumed.step == 5
    assert resumed.run().finished
    for name, tensor in whole.student.state_dict().items():
        assert torch.equal(tensor, resumed.student.state_dict()[name]), name
    steps = [line["step"] for line in metrics(str(tmp_path / "cut")) if "loss" in line]
    assert steps == list(range(1, 13))
    assert any("mean_iou" in line for line in metrics(str(tmp_path / "cut")))


def test_steps_that_are_not_finite_are_skipped_and_ten_end_the_run(fields, monkeypatch):
    trained = run(fields)
    before = {name: tensor.clone() for name, tensor in trained.student.state_dict().items()}
    monkeypatch.setattr(distillation, "distillation_loss", lambda logits, *_, **__: logits.sum() * float("nan"))
    with pytest.raises(MadmError, match="10 steps in a row"):
        trained.run()
    for name, tensor in trained.student.state_dict().items():  # running statistics, too
        assert torch.equal(before[name], tensor), name


def test_a_run_is_neither_overwritten_nor_resumed_as_another(fields):
    run(fields)
    with pytest.raises(ConfigError, match="--resume"):
        run(fields)
    with pytest.raises(ConfigError, match=r"temperature: 2\.0 -> 3\.0"):
        run(fields, resume=True, temperature=3.0)
    assert run(fields, resume=True, log_every=7).step == 0  # nothing was learnt yet
    with pytest.raises(ConfigError, match="no run"):
        run(fields, resume=True, output=fields["output"] + "_other")


def test_the_base_of_the_teacher_may_be_elsewhere_and_move_again(fields, tmp_path):
    base = write_tiny_base(tmp_path / "base")
    label_set = LabelSet.named("madm11")
    network = MadmNetwork.from_base(load_base(base), MadmArchitecture.tiny(len(label_set)), (64, 64))
    fields["teacher"] = str(
        save_model_directory(
            tmp_path / "teacher", network, modality=DepthModality(), label_set=label_set, image_size=(64, 64),
            base_reference=base,
        )
    )  # fmt: skip
    moved = base.rename(tmp_path / "moved")
    with pytest.raises(BaseModelError, match="teacher_base"):
        run(fields)
    run(fields, teacher_base=str(moved))
    again = moved.rename(tmp_path / "again")
    run(fields, teacher_base=str(again), resume=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.0},
        {"crop_scale": [0.0, 1.0]},
        {"image_size": [33, 64]},
        {"max_steps": 0},
        {"confidence_power": -1.0},
        {"warmup_fraction": 1.0},
        {"log_every": -1},
    ],
)
def test_values_that_cannot_be_used_are_named(fields, changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        from_mapping(DistillationConfig, {**fields, **changes})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_load(path):
    assert load_config(DistillationConfig, path).frames["kind"] in ("folder", "streetworld")


def test_validation_needs_labels(fields):
    with pytest.raises(DataError, match="no labels"):
        run(fields, validation=fields["frames"])


def test_the_command_says_what_was_reached_and_what_is_wrong(fields, tmp_path, capsys):
    config = tmp_path / "distill.yaml"
    config.write_text(json.dumps({**fields, "validation": None, "max_steps": 1}))
    assert main(["--config", str(config)]) == 0
    printed = capsys.readouterr().out
    assert "say the same on" in printed and "written: " in printed
    assert main(["--config", str(config), "teacher=nowhere/at/all", "output=other"]) == 2
    assert "no model directory" in capsys.readouterr().err
    assert main(["--config", str(config), "temprature=2"]) == 2
    assert "temperature" in capsys.readouterr().err
