"""The StreetWorld table: what each ingredient of the method is worth on the synthetic street.

    python benchmarks/streetworld.py --base demo/madm-street-base                      # seed 0 of the main rows
    python benchmarks/streetworld.py --base ... --seeds 0 1 2 --jobs 2                 # the whole table
    python benchmarks/streetworld.py --base ... --only madm oracle --modality depth    # some cells
    python benchmarks/streetworld.py --print                                           # the table as it is
    python benchmarks/streetworld.py --print --page docs/streetworld.md                # the same, into the page
    python benchmarks/streetworld.py --setting large --base ... --only fixed-picture madm-long    # the demo's models
    python benchmarks/streetworld.py --data-only                                       # streets of the large setting

Finished runs are skipped and interrupted ones resumed, so the same command goes on where it was stopped. Every run
adds a line to ``benchmarks/streetworld/results.jsonl``, or ``results_large.jsonl``. Each process is single-threaded.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that `benchmarks.*` imports from any folder

from benchmarks.streetworld_experiment import LARGE, SETTINGS, STREETS, Run, make_streets, train  # noqa: E402
from benchmarks.streetworld_scoring import MODALITIES, FixedPicture, evaluate, summary  # noqa: E402
from benchmarks.streetworld_variants import ABLATIONS, MAIN, VARIANTS  # noqa: E402
from madm_core.labels import MADM11  # noqa: E402

MARK = "<!-- the table of benchmarks/streetworld.py -->"


def main() -> None:
    """Runs what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="directory that train_street_base wrote")
    parser.add_argument("--random-base", type=Path, help="the same with diffusion.steps=0 (for random-unet)")
    parser.add_argument("--photo-base", type=Path, help='the same with diffusion.styles="[photo]" (for photo-base)')
    parser.add_argument("--setting", choices=list(SETTINGS), default="small", help="see streetworld_experiment.py")
    parser.add_argument("--work", type=Path, help="data and runs (default: the setting's own)")
    parser.add_argument("--results", type=Path, help="lines of finished runs (default: the setting's own)")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(MAIN), metavar="VARIANT")
    parser.add_argument("--modality", nargs="+", choices=list(MODALITIES), default=list(MODALITIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, help="optimisation steps of a run (default: the setting's)")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the table and train nothing")
    parser.add_argument("--data-only", type=Path, nargs="?", const=LARGE.work, metavar="FOLDER",
                        help="make the streets of the large setting, for trainings of one's own, and train nothing "
                        "(default runs/streetworld)")  # fmt: skip
    parser.add_argument("--page", type=Path, help="put the table between this page's two marks as well")
    arguments = parser.parse_args()
    setting = SETTINGS[arguments.setting]
    arguments.work = arguments.work or setting.work
    arguments.results = arguments.results or setting.results
    arguments.steps = arguments.steps or setting.steps
    if not arguments.only_print:
        if arguments.data_only is not None:
            for name, seed in STREETS.items():
                make_streets(arguments.data_only / "data" / name, seed, LARGE.frames[name], LARGE.conditions)
            return
        if arguments.base is None:
            parser.error("--base is needed to train")
        for name, count in setting.frames.items():
            make_streets(arguments.work / "data" / name, STREETS[name], count, setting.conditions)
        run_missing(arguments)
    found = table(read_results(arguments.results), arguments.steps)
    print(found)
    if arguments.page is not None:
        before, _, after = arguments.page.read_text(encoding="utf-8").split(MARK)
        arguments.page.write_text(f"{before}{MARK}\n{found}\n{MARK}{after}", encoding="utf-8")


def run_missing(arguments: argparse.Namespace) -> None:
    """Trains and scores every wanted run that has no line yet."""
    logging.basicConfig(level=logging.WARNING)
    setting = dataclasses.replace(SETTINGS[arguments.setting], steps=arguments.steps)
    bases = {"pretrained": arguments.base, "random": arguments.random_base, "photo": arguments.photo_base}
    runs = []
    for seed in arguments.seeds:
        for name in arguments.only:
            variant = VARIANTS[name]
            if bases[variant.base] is None:
                raise SystemExit(f"{name} needs --{variant.base}-base")
            for modality in arguments.modality if variant.sees_target else ["rgb"]:
                runs.append(Run(f"{name}_{modality}_{seed}_{setting.steps}", variant, modality, seed, setting))
    finished = {line["run"] for line in read_results(arguments.results)}
    runs = [run for run in runs if run.name not in finished]
    if arguments.jobs == 1 or len(runs) < 2:
        for run in runs:
            run_one(run, arguments, bases)
        return
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda run: _in_a_process(run, arguments), runs))


def _in_a_process(run: Run, arguments: argparse.Namespace) -> None:
    name, modality = run.name.split("_")[:2]
    words = [sys.executable, str(Path(__file__)), "--only", name, "--seeds", str(run.seed)]
    words += ["--steps", str(run.setting.steps), "--setting", arguments.setting]
    words += ["--modality", modality] if modality != "rgb" else []
    for option in ("base", "random_base", "photo_base", "work", "results"):
        if getattr(arguments, option) is not None:
            words += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def run_one(run: Run, arguments: argparse.Namespace, bases: Mapping[str, Path]) -> None:
    """Trains a run, scores it on the test streets and appends its line, or lines where the target did not matter."""
    import torch

    torch.set_num_threads(1)
    model: Path | FixedPicture
    if run.steps == 0:
        model = FixedPicture(arguments.work / "data" / "source")
        measured: dict[str, Any] = {"cpu_seconds": 0.0, "steps": 0, "curve": []}
    else:
        model, measured = train(run, arguments.work, bases)
    modalities = [run.modality] if run.modality != "rgb" else ["rgb", *MODALITIES]
    lines = []
    for modality in modalities:
        native, every_pixel = evaluate(model, modality, arguments.work / "data" / "test")
        lines.append(
            {
                "run": run.name,
                "variant": run.name.split("_")[0],
                "modality": modality,
                "seed": run.seed,
                "native": summary(native),
                "every_pixel": summary(every_pixel),
                "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
                **(measured if modality == modalities[-1] else {**measured, "curve": []}),
            }
        )
        print(f"{run.name} on {modality}: native mIoU {lines[-1]['native']['mean_iou']:.1f} %, "
              f"{measured['cpu_seconds']} s", flush=True)  # fmt: skip
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    with arguments.results.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines of a results file; none when there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


COLUMNS = {"RGB": ("rgb", "native"), "depth": ("depth", "native"), "depth, every pixel": ("depth", "every_pixel"),
           "thermal": ("thermal", "native"), "event": ("event", "native")}  # fmt: skip


def table(results: Iterable[dict[str, Any]], steps: int) -> str:
    """Markdown: test mIoU of each variant and modality over the eleven classes and over the categories, as mean and
    half the spread of the seeds, with the number of seeds and the mean seconds of the runs; then each class's IoU."""
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in results:
        if line["run"].endswith(f"_{steps}"):
            cells.setdefault((line["variant"], line["modality"]), []).append(line)
    blocks = []
    for title, key in (("mIoU of eleven classes", "mean_iou"), ("mIoU of eight categories", "categories")):
        if cells and not any(key in line["native"] for lines in cells.values() for line in lines):
            continue  # older results
        rows = [
            f"| {title} | {' | '.join(COLUMNS)} | seeds | steps | CPU seconds |",
            "|---|" + "---|" * (len(COLUMNS) + 3),
        ]
        rows += [row for name in VARIANTS if (row := _row_of(name, key, cells, steps))]
        blocks.append("\n".join(rows))
    rows = ["| IoU | sensor | " + " | ".join(MADM11.names) + " |", "|---|---|" + "---|" * len(MADM11)]
    for name, variant in VARIANTS.items():
        for modality in ("rgb", *MODALITIES):
            if lines := cells.get((name, modality)):
                classes = [_mean_and_spread([line["native"]["iou"][label] for line in lines]) for label in MADM11.names]
                rows.append(f"| {variant.title} | {modality} | {' | '.join(classes)} |")
    blocks.append("\n".join(rows))
    if curves := _pseudo_label_rows(cells):
        blocks.append(curves)
    missing = [variant.title for name, variant in {**MAIN, **ABLATIONS}.items() if not _lines_of(name, cells)]
    return "\n\n".join([*blocks, *([f"Not run: {'; '.join(missing)}."] if missing else [])])


def _pseudo_label_rows(cells: Mapping[tuple[str, str], list[dict[str, Any]]]) -> str:
    """The share of right pseudo-labels, a mean over all steps that had some; empty when no run has any."""
    rows = []
    for name, variant in VARIANTS.items():
        shares = [
            [100 * fmean(point["accuracy"] for point in line["curve"]) for line in cells.get((name, modality), [])
             if line.get("curve")] for modality in MODALITIES
        ]  # fmt: skip
        if any(shares):
            rows.append(f"| {variant.title} | {' | '.join(map(_mean_and_spread, shares))} |")
    head = [f"| right pseudo-labels, % | {' | '.join(MODALITIES)} |", "|---|" + "---|" * len(MODALITIES)]
    return "\n".join([*head, *rows]) if rows else ""


def _row_of(name: str, key: str, cells: Mapping[tuple[str, str], list[dict[str, Any]]], steps: int) -> str:
    """A variant's row; empty when it was not run."""
    variant, found = VARIANTS[name], _lines_of(name, cells)
    if not found:
        return ""
    numbers = [
        _mean_and_spread([line[which].get(key) for line in cells.get((name, modality), [])])
        for modality, which in COLUMNS.values()
    ]
    if variant.sees_target:
        numbers[0] = "-"
    seeds = ", ".join(str(seed) for seed in sorted({line["seed"] for line in found}))
    seconds = f"{sum(line['cpu_seconds'] for line in found) / len(found):.0f}"
    return f"| {variant.title} | {' | '.join(numbers)} | {seeds} | {round(steps * variant.steps)} | {seconds} |"


def _lines_of(name: str, cells: Mapping[tuple[str, str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [line for modality in ("rgb", *MODALITIES) for line in cells.get((name, modality), [])]


def _mean_and_spread(values: list[float]) -> str:
    """Mean, and half of the distance between the highest and the lowest of several seeds."""
    values = [value for value in values if value is not None and not math.isnan(value)]
    if not values:
        return "not run"
    mean = f"{sum(values) / len(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.1f}"


if __name__ == "__main__":
    main()
