"""The work of ``evaluate_bag``: scores recordings, here, on workers or through the node, and writes the report."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from madm_core.command_line import FAILED, INTERRUPTED, SUCCESS, Outcome
from madm_core.errors import DataError, InvalidInputError, MissingDependencyError
from madm_core.evaluation.bag_jobs import BagJob, BagOutcome, MakeObservers, ShowProgress, score_bags
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.comparison import StoredScores, compare, print_comparison
from madm_core.evaluation.evaluation_result import EvaluationResult, ModelFacts
from madm_core.evaluation.frame_results import FrameObserver
from madm_core.evaluation.metrics_file import replace_text
from madm_core.evaluation.prediction_export import PredictionExport
from madm_core.evaluation.printed_table import print_table
from madm_core.evaluation.ray_cluster import score_bags_with_ray
from madm_core.evaluation.report import write_report
from madm_core.evaluation.rerun_log import RerunLog, rerun_path
from madm_core.evaluation.worker_processes import score_bags_in_processes
from madm_core.interruption import AFTER_FRAME, Interruption
from madm_core.progress import progress_bar
from madm_core.segmenter import Segmenter
from madm_ros.evaluation_options import jobs_of, request_of
from madm_ros.evaluation_outcome import report_outcome

logger = logging.getLogger("evaluate_bag")


def compare_models(chosen: argparse.Namespace, words: list[str]) -> Outcome:
    """Two evaluations, finished ones or made now, frame by frame."""
    if chosen.export_predictions is not None:
        raise InvalidInputError("--compare exports no predictions", reason="option", do="evaluate each model by itself")
    if chosen.rerun is not None:
        raise InvalidInputError("--compare writes no Rerun file", reason="option", do="evaluate each model by itself")
    folders, made = [], []
    for letter, side in zip("ab", chosen.compare, strict=True):
        if Path(side).name == "metrics.json" or (Path(side) / "metrics.json").exists():
            folders.append(side)
            continue
        folder = Path(chosen.output) / letter
        made.append(evaluate(argparse.Namespace(**{**vars(chosen), "model": side, "output": str(folder)}), words))
        folders.append(str(folder))
        if made[-1].code == INTERRUPTED:
            return made[-1]
        print()
    comparison = compare(*(StoredScores.read(folder) for folder in folders))
    output = Path(chosen.output) / "comparison.json"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replace_text(output, json.dumps(comparison.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(f"{output} cannot be written", got=error, do="choose another --output") from error
    print_comparison(comparison)
    reports = [report for outcome in made for report in outcome.results]
    code = max((outcome.code for outcome in made), default=SUCCESS)
    return Outcome(code, [output, *reports], facts={"comparison": comparison.to_dict()})


def evaluate(chosen: argparse.Namespace, words: list[str]) -> Outcome:
    """Finds the source of the frames, and writes the report of what comes from it."""
    request, jobs = request_of(chosen), jobs_of(chosen)
    _check_live_options(chosen)
    if len(jobs) == 1:
        request.check_topics(jobs[0].path, jobs[0].label_path)
    segmenter = request.load_segmenter()
    started = time.monotonic()
    if chosen.live:
        return _evaluate_live(chosen, words, request, jobs, segmenter)
    model = ModelFacts.of(segmenter, chosen.model)
    elsewhere = chosen.ray is not None or (chosen.workers > 1 and len(jobs) > 1)
    own = None if elsewhere else segmenter
    del segmenter  # other processes load their own, and may need its memory
    with Interruption(AFTER_FRAME) as stop, _progress_bar() as progress:
        observers = _observers(chosen)
        if chosen.ray is not None:
            outcomes = score_bags_with_ray(
                request, jobs, chosen.ray, observers, workers=chosen.workers, stop=stop, progress=progress
            )
        elif own is None:
            outcomes = score_bags_in_processes(request, jobs, chosen.workers, observers, stop=stop, progress=progress)
        else:
            outcomes = score_bags(request, jobs, own, observers, stop=stop, progress=progress)
    return _report(chosen, _result(request, model, outcomes, words, time.monotonic() - started))


def _check_live_options(chosen: argparse.Namespace) -> None:
    """Options that would have no effect are refused."""
    if chosen.live and (chosen.workers > 1 or chosen.ray is not None):
        raise InvalidInputError(
            "--live plays one bag after the other", reason="option", do="leave --workers and --ray out"
        )
    if not chosen.live and (chosen.node or chosen.rate != 1):
        raise InvalidInputError("--node and --rate are for --live", reason="option", do="add --live")


def _evaluate_live(
    chosen: argparse.Namespace, words: list[str], request: BagRequest, jobs: list[BagJob], segmenter: Segmenter
) -> Outcome:
    """The labels come from the running node."""
    try:
        from madm_ros.live_evaluation import LiveOptions, score_bags_live
    except ImportError as error:
        distribution = os.environ.get("ROS_DISTRO", "jazzy")
        raise MissingDependencyError(
            "--live needs ROS 2", got=error, do=f"run: apt install ros-{distribution}-rclpy, and source its setup.bash"
        ) from error
    started = time.monotonic()
    options = LiveOptions(chosen.node, chosen.rate, chosen.queue_policy, chosen.live_timeout)
    with Interruption(AFTER_FRAME) as stop:
        outcomes, sections, equal = score_bags_live(
            request, jobs, segmenter, _observers(chosen), options, Path(chosen.output), stop=stop
        )
    model = ModelFacts.of(segmenter, chosen.model)
    result = _result(request, model, outcomes, words, time.monotonic() - started)
    result.sections.extend(sections)
    outcome = _report(chosen, result)
    for section in sections:
        print(f"\n{section.title}")
        for name, value in section.rows:
            print(f"  {name}: {value}")
    return dataclasses.replace(outcome, code=outcome.code or (SUCCESS if equal else FAILED))


def _observers(chosen: argparse.Namespace) -> MakeObservers:
    """What uses the pictures of each recording, besides the report; it travels to the workers."""
    return functools.partial(_open_observers, chosen)


def _open_observers(chosen: argparse.Namespace, job: BagJob, segmenter: Segmenter) -> Iterator[FrameObserver]:
    if job.export_path is not None:
        yield PredictionExport(job.export_path, job.path, chosen.topic, segmenter.label_set)
    if chosen.rerun is not None:
        path = rerun_path(chosen.rerun, job.path, len([*chosen.bags, *chosen.bag]))
        yield RerunLog(path, segmenter.label_set)


@contextmanager
def _progress_bar() -> Iterator[ShowProgress]:
    """One bar over the frames of all bags that have begun."""
    with progress_bar("frames") as bar:
        frames: dict[str, tuple[int, int]] = {}

        def show(path: str, done: int, expected: int | None) -> None:
            if path not in frames:
                bar.set_description(Path(path).name)
            frames[path] = done, max(done, expected or 0)
            bar.total = sum(whole for _, whole in frames.values())
            bar.update(sum(part for part, _ in frames.values()) - bar.n)

        yield show


def _result(
    request: BagRequest, model: ModelFacts, outcomes: Sequence[BagOutcome], words: list[str], seconds: float
) -> EvaluationResult:
    failures = [outcome.failure for outcome in outcomes if outcome.failure is not None]
    bags = [outcome.scores for outcome in outcomes if outcome.scores is not None]
    for failure in failures:
        if failure.error:
            logger.error("%s: %s", failure.name, failure.error)
    if not bags:
        raise DataError("no bag could be scored", got="; ".join(f"{bag.name}: {bag.error}" for bag in failures))
    return EvaluationResult(
        model,
        bags,
        request.to_dict(),
        ["evaluate_bag", *words],
        failures,
        [outcome.choice for outcome in outcomes if outcome.choice is not None],
        seconds=seconds,
    )


def _report(chosen: argparse.Namespace, result: EvaluationResult) -> Outcome:
    """Writes and prints the report."""
    metrics = write_report(result, chosen.output, chosen.palette)
    print_table(metrics)
    return report_outcome(result, chosen.output, FAILED if result.failures else SUCCESS)
