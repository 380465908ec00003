"""``make streetworld-quick``: source-only against MADM on one modality, and both against no network at all.

Starts from the base that ships (``demo/madm-street-base``), renders its own streets, trains both, two processes side
by side, and scores both on streets that neither has seen. Fewer frames than the table's small setting.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that `benchmarks.*` imports from any folder

from benchmarks.streetworld_experiment import SMALL, STREETS, Run, make_streets, train  # noqa: E402
from benchmarks.streetworld_scoring import MODALITIES, FixedPicture, evaluate, summary  # noqa: E402
from benchmarks.streetworld_variants import VARIANTS  # noqa: E402

FRAMES = {"source": 240, "target": 160, "test": 24}
ROWS = ("source-only", "madm")


def main() -> None:
    """Renders, trains and prints two numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=HERE.parent / "demo" / "madm-street-base")
    parser.add_argument("--work", type=Path, default=Path("runs/streetworld-quick"))
    parser.add_argument("--modality", choices=list(MODALITIES), default="thermal")
    parser.add_argument("--steps", type=int, default=SMALL.steps)
    parser.add_argument("--frames", type=int, nargs=3, default=list(FRAMES.values()), metavar="N",
                        help="labelled colour, unlabelled and test frames")  # fmt: skip
    parser.add_argument("--row", choices=ROWS, help="train and score this row alone (used by the command itself)")
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(run(arguments.row, arguments)))
        return
    began = time.monotonic()
    print(f"rendering {sum(arguments.frames)} frames of synthetic streets ...", flush=True)
    for (name, sensor), count in zip(
        {"source": "rgb", "target": arguments.modality, "test": arguments.modality}.items(), arguments.frames,
        strict=True,
    ):  # fmt: skip
        make_streets(arguments.work / "data" / name, STREETS[name], count, SMALL.conditions, (sensor,))
    print(f"training twice {arguments.steps} steps, one thread each ...", flush=True)
    words = [sys.executable, str(Path(__file__)), "--base", str(arguments.base), "--work", str(arguments.work),
             "--modality", arguments.modality, "--steps", str(arguments.steps)]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([*words, "--row", row], stdout=subprocess.PIPE, text=True, env=environment) for row in ROWS
    ]
    for row, process in zip(ROWS, running, strict=True):
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{row} failed; the same command goes on where it stopped")
        found = json.loads(output.splitlines()[-1])
        print(
            f"{row:12s} {arguments.modality} mIoU {found['mean_iou']:5.1f} %   ({found['cpu_seconds']:.0f} CPU seconds)"
        )
    fixed, _ = evaluate(
        FixedPicture(arguments.work / "data" / "source"), arguments.modality, arguments.work / "data" / "test"
    )
    print(f"no network   {arguments.modality} mIoU {summary(fixed)['mean_iou']:5.1f} %   (one fixed picture)")
    print(f"{(time.monotonic() - began) / 60:.1f} minutes; test streets of seed {STREETS['test']}, training seed 0")


def run(row: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Trains one row and scores it."""
    import torch

    torch.set_num_threads(1)
    setting = dataclasses.replace(SMALL, steps=arguments.steps)
    chosen = Run(f"{row}_{arguments.modality}", VARIANTS[row], arguments.modality, 0, setting)
    model, measured = train(chosen, arguments.work, {"pretrained": arguments.base})
    found, _ = evaluate(model, arguments.modality, arguments.work / "data" / "test")
    return {"mean_iou": summary(found)["mean_iou"], "cpu_seconds": measured["cpu_seconds"]}


if __name__ == "__main__":
    main()
