"""Peak memory and speed of a whole training step for every memory option, against the reference's plain structure.

    python benchmarks/training_step.py --size tiny                    # here, on a CPU, in minutes
    python benchmarks/training_step.py --size sd14 --device cuda      # Stable Diffusion 1.4's size at 512 x 512

Weights are random, pictures are noise; everything else is the trainer: student, teacher, mixing, losses, backward,
clipping, AdamW, average. Every measurement is a process of its own, so that no peak hides behind another's. Each option
is measured right after a fresh run of the plain one (float32, one backward pass through both branches, nothing
recomputed), and compared with that run alone: a machine that is busy for minutes slows both. An option that does not
fit, or that the machine does not have, is reported as such.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from madm_core.adaptation import assembly
from madm_core.adaptation.memory_planner import plan_memory
from madm_core.adaptation.step_runner import StepRunner
from madm_core.adaptation.tiny_run import TINY_ARCHITECTURE, tiny_fields, write_smallest_base
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.config import from_mapping
from madm_core.data.samples import Sample
from madm_core.errors import MadmError
from madm_core.model.precision import choose_device, device_name
from madm_core.model.tiny_base import write_tiny_base

PLAIN: dict[str, Any] = {
    "mixed_precision": "no",
    "backward_per_branch": False,
    "gradient_checkpointing": False,
    "workers": 0,
}
PER_BRANCH = {**PLAIN, "backward_per_branch": True}
CHECKPOINTED = {**PER_BRANCH, "gradient_checkpointing": True}
CPU_OPTIONS: dict[str, dict[str, Any]] = {
    "backward_per_branch": PER_BRANCH,
    "+ gradient_checkpointing": CHECKPOINTED,
    "bf16": {**PLAIN, "mixed_precision": "bf16"},
    "channels_last": {**PLAIN, "channels_last": True},
}
_BF16 = {**CHECKPOINTED, "mixed_precision": "bf16"}
CUDA_OPTIONS: dict[str, dict[str, Any]] = {
    "fp16 (the reference's autocast)": {**PLAIN, "mixed_precision": "fp16"},
    "bf16": {**PLAIN, "mixed_precision": "bf16"},
    "+ backward_per_branch": {**PER_BRANCH, "mixed_precision": "bf16"},
    "+ gradient_checkpointing (our default)": _BF16,
    "+ adamw8bit": {**_BF16, "optimizer": "adamw8bit"},
    "default + channels_last": {**_BF16, "channels_last": True},
    "default + compile": {**_BF16, "compile": True},
}


def configuration(size: str, device: str, folder: Path, engine: dict[str, Any]) -> TrainingConfig:
    """A run of the given size; its data sections are never opened."""
    fields = {
        **tiny_fields(folder, folder / "run"),
        "image_size": [512, 512] if size == "sd14" else [64, 64],
        "architecture": {} if size == "sd14" else TINY_ARCHITECTURE,
        "batch_size": 1 if size == "sd14" else 2,
        "engine": {**engine, "device": device},
    }
    return from_mapping(TrainingConfig, fields)


def write_base(size: str, folder: Path) -> None:
    """A random base of the given size."""
    if size == "sd14":
        write_tiny_base(
            folder / "base",
            unet_channels=(320, 640, 1280, 1280),
            vae_channels=(128, 256, 512, 512),
            text_width=768,
            attention_heads=8,
            norm_groups=32,
        )
    else:
        write_smallest_base(folder / "base")


def noise(config: TrainingConfig) -> Iterator[Sample]:
    """One batch of noise, again and again."""
    generator = torch.Generator().manual_seed(config.seed)
    batch, (height, width) = config.batch_size, config.image_size
    pictures = torch.randint(0, 256, (2, batch, 3, height, width), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, len(config.labels), (batch, 1, height, width), dtype=torch.uint8, generator=generator)
    while True:
        yield Sample(pictures[0], labels, pictures[1], torch.ones(batch, 1, height, width, dtype=torch.bool))


def measure(config: TrainingConfig, steps: int) -> dict[str, float]:
    """Runs two steps to warm up and ``steps`` more."""
    accelerator = assembly.make_accelerator(config.engine)
    model = assembly.make_model(config, accelerator)
    optimizer = assembly.make_training_optimizer(config, model, accelerator.device)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    runner, samples, seconds = StepRunner(config, accelerator, model, wrapped, optimizer), noise(config), []
    cuda = accelerator.device.type == "cuda"
    for step in range(2 + steps):
        began = time.perf_counter()
        report = runner.run(step, samples)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        if not report.usable:
            sys.exit("a step gave numbers that are not finite")
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "peak_gib": peak / 2**30,
        "planned_gib": plan_memory(config).peak / 2**30,
        "images_per_s": config.batch_size / statistics.median(seconds[2:]),
    }


def measured_apart(options: argparse.Namespace, folder: Path, engine: dict[str, Any]) -> dict[str, Any]:
    """:func:`measure` in a process of its own; ``{"failed": why}`` when it does not end well."""
    words = ["--size", options.size, "--device", options.device, "--steps", str(options.steps)]
    command = [sys.executable, __file__, *words, "--measure", json.dumps(engine), "--folder", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return {"failed": (ended.stderr.strip() or f"exit code {ended.returncode}").splitlines()[-1]}
    numbers: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return numbers


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Every option beside its own run of the plain structure."""
    rows = []
    for name, engine in (CUDA_OPTIONS if options.device == "cuda" else CPU_OPTIONS).items():
        pairs = [
            (measured_apart(options, folder, PLAIN), measured_apart(options, folder, engine))
            for _ in range(options.pairs)
        ]
        rows.append({"option": name, "engine": engine, "pairs": pairs})
        print(f"{name}: {json.dumps(pairs)}", file=sys.stderr, flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| engine | peak GiB | planned GiB | images/s | peak / plain | speed / plain |",
        "|---|---|---|---|---|---|",
    ]
    first = rows[0]["pairs"][0][0]
    lines.append("| plain | " + (first.get("failed") or _numbers(first)) + " | 1 | 1 |")
    for row in rows:
        plain, found = zip(*row["pairs"], strict=True)
        why = next((run["failed"] for run in found if "failed" in run), None)
        if why is not None:
            lines.append(f"| {row['option']} | {why} | | | | |")
            continue
        ratios = ["", ""]
        if not any("failed" in run for run in plain):
            ratios = [
                f"{statistics.median(b[key] / a[key] for a, b in row['pairs']):.2f}"
                for key in ("peak_gib", "images_per_s")
            ]
        lines.append(f"| {row['option']} | {_numbers(found[0])} | {ratios[0]} | {ratios[1]} |")
    return "\n".join(lines)


def _numbers(run: dict[str, float]) -> str:
    return f"{run['peak_gib']:.2f} | {run['planned_gib']:.2f} | {run['images_per_s']:.3g}"


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "sd14"), default="tiny")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each measurement")
    parser.add_argument("--pairs", type=int, default=1, help="measurements of each option; ratios are medians")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        if options.measure is not None:
            config = configuration(options.size, options.device, options.folder, options.measure)
            print(json.dumps(measure(config, options.steps)))
            return 0
        machine = f"{device_name(choose_device(options.device))}, torch {torch.__version__}, {platform.machine()}"
    except MadmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        write_base(options.size, Path(temporary))
        rows = compare(options, Path(temporary))
    print(f"{options.size} on {machine}, {options.steps} steps\n\n{table(rows)}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine, "size": options.size, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
