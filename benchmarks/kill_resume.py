"""Kills a tiny training with SIGKILL at random moments, resumes it, and compares the end with an uninterrupted run.

    python benchmarks/kill_resume.py --kills 50

Prints a Markdown table for docs/benchmarks.md. Everything it needs (base, pictures) it makes itself.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import torch
from safetensors.torch import load_file

from madm_core.adaptation.checkpoint import list_checkpoints
from madm_core.adaptation.tiny_run import write_tiny_run


def _train(words: list[str], log: Path) -> None:
    """What a training process does."""
    with log.open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    from madm_ros.commands.train_adapt import main as train_adapt

    sys.exit(train_adapt(words))


def train(config: Path, log: Path, *words: str) -> Process:
    """Starts ``train_adapt`` in a process of its own, forked from one that has imported everything already.

    So nearly all of a process's life is training, and hardly a kill is wasted on its imports.
    """
    process = multiprocessing.get_context("forkserver").Process(
        target=_train, args=(["--config", str(config), *words], log)
    )
    process.start()
    return process


def finish(process: Process, log: Path) -> None:
    """Waits for a process that must succeed."""
    process.join()
    if process.exitcode != 0:
        sys.exit(f"exit code {process.exitcode}\n{log.read_text()}")


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    """The weights of a finished run."""
    return load_file(list_checkpoints(run / "checkpoints")[-1] / "weights.safetensors")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20, help="length of one run")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    started = time.monotonic()
    multiprocessing.set_forkserver_preload(["madm_core.adaptation.trainer", "madm_ros.commands.train_adapt"])
    kills = runs = before_first = while_saving = after_last = different = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config, log = write_tiny_run(folder, max_steps=arguments.steps), folder / "log.txt"
        finish(train(config, log), log)
        again = time.monotonic()
        finish(train(config, log, f"output={folder / 'timed'}"), log)
        seconds = time.monotonic() - again
        expected = final_weights(folder / "run")
        while kills < arguments.kills:
            output = folder / f"run{runs}"
            runs += 1
            killed_before = 0.0
            while True:
                resume = ["--resume"] if (output / "config.yaml").exists() else []
                process = train(config, log, f"output={output}", *resume)
                process.join(timeout=rng.uniform(0.02, 1.0) * seconds if kills < arguments.kills else None)
                if process.exitcode is not None:
                    finish(process, log)
                    break
                process.kill()
                process.join()
                kills += 1
                done = list_checkpoints(output / "checkpoints")
                before_first += not done
                leftovers = {path.stat().st_ctime for path in output.glob("checkpoints/.*.unfinished")}
                while_saving += any(began > killed_before for began in leftovers)
                killed_before = time.time()
                after_last += bool(done) and done[-1].name == f"step_{arguments.steps:06d}"
                print(f"{kills} kills, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
            actual = final_weights(output)
            different += actual.keys() != expected.keys() or any(
                not torch.equal(actual[name], tensor) for name, tensor in expected.items()
            )
            steps = [json.loads(line)["step"] for line in (output / "metrics.jsonl").read_text().splitlines()]
            if steps != list(range(1, arguments.steps + 1)):
                sys.exit(f"metrics.jsonl of {output} misses or repeats steps: {steps}")
            shutil.rmtree(output)
    print(
        "| SIGKILLs | runs finished | before the first checkpoint | while saving | after the last step | runs that end "
        "in other weights |"
    )
    print("|---|---|---|---|---|---|")
    print(f"| {kills} | {runs} | {before_first} | {while_saving} | {after_last} | {different} |")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
