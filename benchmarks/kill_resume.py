"""Kills a tiny training with SIGKILL at random moments, resumes it, and compares the end with an uninterrupted run.

    python benchmarks/kill_resume.py --kills 50

Prints a Markdown table for docs/benchmarks.md. Everything it needs (base, pictures) it makes itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from madm_core.adaptation.checkpoint import list_checkpoints
from madm_core.model.tiny_base import write_tiny_base


def make_data(folder: Path, steps: int) -> Path:
    """Writes base, pictures and a configuration; its path."""
    write_tiny_base(folder / "base")
    rng = np.random.default_rng(0)
    for name in ("images", "labels", "target"):
        (folder / name).mkdir()
    for index in range(6):
        labels = np.kron(rng.integers(0, 11, (4, 4)), np.ones((16, 16))).astype(np.uint8)
        noise = rng.integers(0, 60, (64, 64, 3), np.uint8)
        Image.fromarray(noise + (labels * 15)[:, :, None]).save(folder / f"images/{index}.png")
        Image.fromarray(labels).save(folder / f"labels/{index}.png")
        Image.fromarray(noise[:, :, 0] + labels * 15).save(folder / f"target/{index}.png")
    config = {
        "base": str(folder / "base"),
        "output": str(folder / "run"),
        "modality": {"name": "thermal"},
        "image_size": [64, 64],
        "architecture": {
            "projection_channels": [32, 32, 32, 32],
            "projection_bottleneck": 32,
            "embedding_channels": 8,
            "head_channels": 8,
        },
        "source": {"kind": "folder", "images": str(folder / "images"), "labels": str(folder / "labels")},
        "target": {"kind": "folder", "images": str(folder / "target")},
        "method": {"rare_class_min_pixels": 10, "rare_class_min_crop_pixels": 5},
        "max_steps": steps,
        "engine": {"device": "cpu", "workers": 0},
        "preview_every": 0,
        "validate_every": 0,
        "checkpoint_every": 2,
        "embed_base": True,
        "cache": str(folder / "cache"),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def train(config: Path, *words: str) -> subprocess.Popen[bytes]:
    """Starts ``train_adapt`` in a process of its own."""
    command = [sys.executable, "-m", "madm_ros.commands.train_adapt", "--config", str(config), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that must succeed."""
    _, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(errors.decode())


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    """The weights of a finished run."""
    return load_file(list_checkpoints(run / "checkpoints")[-1] / "weights.safetensors")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=30, help="length of one run")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    kills = resumes_from_start = runs = different = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = make_data(folder, arguments.steps)
        started = time.monotonic()
        finish(train(config))
        seconds = time.monotonic() - started
        expected = final_weights(folder / "run")
        while kills < arguments.kills:
            output = folder / f"run{runs}"
            runs += 1
            while True:
                resume = ["--resume"] if (output / "config.yaml").exists() else []
                resumes_from_start += bool(resume) and not list_checkpoints(output / "checkpoints")
                process = train(config, f"output={output}", *resume)
                if kills == arguments.kills:
                    finish(process)
                    break
                try:
                    process.wait(timeout=rng.uniform(0.05, 1.0) * seconds)
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    process.communicate()
                    kills += 1
                    continue
                finish(process)
                break
            actual = final_weights(output)
            if any(not torch.equal(actual[name], tensor) for name, tensor in expected.items()):
                different += 1
            steps = [json.loads(line)["step"] for line in (output / "metrics.jsonl").read_text().splitlines()]
            if steps != sorted(set(steps)):
                sys.exit(f"metrics.jsonl of {output} repeats steps: {steps}")
    print("| kills at random moments | runs | resumed before the first checkpoint | runs whose final weights differ |")
    print("|---|---|---|---|")
    print(f"| {kills} | {runs} | {resumes_from_start} | {different} |")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
