"""Two processes learn what one process learns from two accumulated batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from madm_core.adaptation.tiny_run import write_tiny_run


@pytest.fixture
def config_file(tmp_path) -> Path:
    # The reference's teacher uses the batch's statistics, so no process depends on another's running statistics.
    method = {"rare_class_sampling": False, "learning_rate": 1e-4, "new_layer_learning_rate": 1e-4}
    return write_tiny_run(tmp_path, recipe="reference", method=method, max_steps=2, batch_size=1)


def train(launcher: list[str], config: Path, *words: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "madm_ros.commands.train_adapt", "--config", str(config), *words]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.timeout(600)
def test_two_processes_equal_two_accumulated_batches(config_file, tmp_path):
    port = str(20000 + os.getpid() % 20000)
    # --multi_gpu chooses the launcher of several processes, engine.device=cpu (in the file) where they compute; --cpu
    # would choose the launcher of one process, whatever --num_processes says.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    train([*launch, "--num_machines", "1", "--mixed_precision", "no", "--main_process_port", port], config_file)
    train([sys.executable], config_file, f"output={tmp_path}/one", "engine.accumulate=2")
    two, one = (
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("run", "one")
    )
    assert [line["step"] for line in two] == [1, 2]
    for ours, theirs in zip(two, one, strict=True):
        for name in ("source_loss", "target_loss", "source_regression_loss", "target_regression_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3 if ours["step"] == 2 else 1e-5), name
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
    # Each process keeps its own running statistics.
    weights = load_file(tmp_path / "run/checkpoints/step_000002/weights.safetensors")
    assert {name.split(".")[0] for name in weights if name.startswith("process_")} == {"process_0", "process_1"}
