"""Two processes learn what one process learns from two accumulated batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from madm_core.model.tiny_base import write_tiny_base


@pytest.fixture
def config_file(tmp_path) -> Path:
    write_tiny_base(tmp_path / "base", unet_channels=(8, 8, 16, 16), vae_channels=(4, 4, 8, 8), text_width=8)
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for index in range(4):
        labels = np.kron(rng.integers(0, 11, (4, 4)), np.ones((16, 16))).astype(np.uint8)
        Image.fromarray(labels * 20).save(tmp_path / f"images/{index}.png")
        Image.fromarray(labels).save(tmp_path / f"labels/{index}.png")
    config = {
        "output": str(tmp_path / "run"),
        "base": str(tmp_path / "base"),
        "modality": {"name": "thermal"},
        "image_size": [64, 64],
        "architecture": {
            "projection_channels": [32, 32, 32, 32],
            "projection_bottleneck": 32,
            "embedding_channels": 8,
            "head_channels": 8,
        },
        "source": {"kind": "folder", "images": str(tmp_path / "images"), "labels": str(tmp_path / "labels")},
        "target": {"kind": "folder", "images": str(tmp_path / "images")},
        # The reference's teacher uses the batch's statistics, so no process depends on another's running statistics.
        "recipe": "reference",
        "method": {"rare_class_sampling": False, "learning_rate": 1e-4, "new_layer_learning_rate": 1e-4},
        "max_steps": 2,
        "engine": {"device": "cpu", "workers": 0, "gradient_checkpointing": False},
        "log_every": 1,
        "preview_every": 0,
        "embed_base": True,
        "cache": str(tmp_path / "cache"),
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


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
