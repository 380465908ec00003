from __future__ import annotations

import json
from pathlib import Path

import pytest

from madm_core.adaptation import run_directory
from madm_core.adaptation.run_directory import RunDirectory, resume_advice
from madm_core.errors import CheckpointError, ConfigError


def test_a_new_run_spells_its_configuration_out_and_is_not_overwritten(tiny_config):
    config = tiny_config()
    directory = RunDirectory(config.output)
    directory.start(config)
    text = directory.config_file.read_text()
    assert "noise_end_fraction: 0.5" in text  # a default of the recipe
    assert "learning_rate: 0.001" in text
    with pytest.raises(ConfigError, match="a run in .* already"):
        directory.start(config)
    assert directory.check_unchanged(config, allow_change=False) == []


def test_only_what_touches_the_learning_counts_as_a_change(tiny_config):
    directory = RunDirectory(tiny_config().output)
    directory.start(tiny_config())
    assert directory.check_unchanged(tiny_config(log_every=9, validate_every=3), allow_change=False) == []
    with pytest.raises(ConfigError, match="batch_size: 2 -> 3"):
        directory.check_unchanged(tiny_config(batch_size=3), allow_change=False)
    assert directory.check_unchanged(tiny_config(batch_size=3), allow_change=True) == ["batch_size: 2 -> 3"]


def test_a_folder_that_cannot_be_made_is_an_error(tiny_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to .*output=DIRECTORY"):
        RunDirectory(tmp_path / "file" / "run").start(tiny_config())


def test_metrics_after_the_checkpoint_and_half_lines_are_forgotten(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.forget_after(1)  # nothing there yet
    for step in (1, 2, 3):
        directory.log(step, {"loss": float("nan") if step == 2 else 0.5})
    with directory.metrics_file.open("a") as stream:
        stream.write('{"step": 4, "lo')
    directory.forget_after(2)
    lines = [json.loads(line) for line in directory.metrics_file.read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]


def test_a_kill_while_rewriting_keeps_the_old_file(tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path)
    directory.log(1, {"loss": 0.5})
    before = directory.metrics_file.read_text()

    def killed(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_directory.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        directory.forget_after(0)
    monkeypatch.undo()
    assert directory.metrics_file.read_text() == before


def test_a_full_disk_under_the_metrics_is_explained(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.metrics_file = Path("/dev/full")
    with pytest.raises(CheckpointError, match="cannot write /dev/full.*No space left.*--resume"):
        directory.log(1, {"loss": 1.0})


def test_the_advice_names_the_configuration(tmp_path):
    assert resume_advice(tmp_path) == f"train_adapt --config {tmp_path}/config.yaml --resume"
    assert resume_advice(tmp_path, "distill") == f"distill --config {tmp_path}/config.yaml --resume"
