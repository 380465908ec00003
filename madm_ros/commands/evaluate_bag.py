"""``evaluate_bag``: the scores of a model on recordings with labels. Needs no ROS."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from madm_core.command_line import command_parser, run_command
from madm_core.config import read_yaml_mapping
from madm_core.errors import ConfigError, DataError, InvalidInputError, MissingDependencyError
from madm_core.evaluation.bag_jobs import BagJob, BagOutcome, ShowProgress, score_bags
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.evaluation_result import EvaluationResult, ModelFacts
from madm_core.evaluation.frame_results import FrameObserver, ProtocolName
from madm_core.evaluation.interruption import Interruption
from madm_core.evaluation.printed_table import print_table
from madm_core.evaluation.report import write_report
from madm_core.labels import LabelMap
from madm_core.segmenter import Segmenter

logger = logging.getLogger("evaluate_bag")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "evaluate_bag",
        "Scores a model on bags with ground truth: prints a table, writes metrics.json and report.html.\n"
        "Pixels without ground truth (255) do not count; a prediction of 255 (no measurement) on a pixel with ground\n"
        "truth counts as a miss. mIoU is the mean over the classes present in the ground truth of all bags.\n"
        "Exit codes: 0 everything scored, 1 a bag of several failed (the report lists it), 2 unusable input (nothing\n"
        "written), 130 interrupted by Ctrl-C or SIGTERM (the report covers what was scored until then).",
        [
            "evaluate_bag drive_1 --model models/depth --topic /depth/image --label-topic /labels --output out",
            "evaluate_bag drive_1 --model models/event --topic /events --label-dir labels/ --protocol both",
            "evaluate_bag runs/*.mcap --model models/depth --topic /depth/image --label-topic /labels --workers 4",
        ],
    )
    options.add_argument("bags", nargs="*", metavar="BAG", help="bag directory, .mcap or .db3")
    options.add_argument("--bag", nargs="+", default=[], metavar="BAG", help="the same, as an option")
    options.add_argument("--model", required=True, help="model directory or hub id")
    options.add_argument("--topic", required=True, help="the sensor's topic")
    truth = options.add_mutually_exclusive_group(required=True)
    truth.add_argument("--label-topic", help="topic with ids (mono8, mono16) or the palette's colours (rgb8)")
    truth.add_argument("--label-dir", help="PNG files named <stamp in nanoseconds>.png or <sec>_<nanosec>.png")
    options.add_argument(
        "--label-bag",
        nargs="+",
        metavar="BAG",
        help="bags that hold the label topic, one for each bag (default: the same)",
    )
    options.add_argument("--label-map", metavar="YAML", help="renames the labels' ids: lines `old: new`, others stay")
    options.add_argument("--protocol", choices=["paper", "native", "both"], default="native", help="default native")
    options.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="S",
        help="largest difference of the stamps (default 0: equal stamps)",
    )
    options.add_argument("--start", type=float, default=0.0, metavar="S", help="begin S seconds after the bag's start")
    options.add_argument("--duration", type=float, metavar="S", help="use S seconds of the bag")
    options.add_argument("--stride", type=int, default=1, help="score every n-th frame (default 1)")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    options.add_argument("--precision", default="auto", help="auto, fp32, bf16, fp16")
    options.add_argument("--resize", default="reference", help="reference, keep_aspect or sliding_window")
    _live_options(options)
    _output_options(options)
    return options


def _live_options(options: argparse.ArgumentParser) -> None:
    live = options.add_argument_group("through the running node (needs ROS)")
    live.add_argument(
        "--live",
        action="store_true",
        help="play the bag through a segmentation node and score its labels; exit code 1 when they differ from offline",
    )
    live.add_argument(
        "--node", default="", metavar="NAME", help="a running node, as /segmentation (default: start one)"
    )
    live.add_argument("--rate", type=float, default=1.0, help="bag seconds a real second (default 1)")
    live.add_argument(
        "--queue-policy",
        choices=["latest", "every"],
        default="latest",
        help="of the node that is started: latest drops frames when it is too slow (default), every does not",
    )
    live.add_argument(
        "--live-timeout", type=float, default=60.0, metavar="S", help="for the node's first answer (default 60)"
    )


def _output_options(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--output", default="evaluation", metavar="DIR", help="folder of the report (default evaluation)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda chosen: _evaluate(chosen, words), parser().parse_args(words))


def _evaluate(chosen: argparse.Namespace, words: list[str]) -> int:
    """Finds the source of the frames, and writes the report of what comes from it."""
    request, jobs = _request(chosen), _jobs(chosen)
    if len(jobs) == 1:
        request.check_topics(jobs[0].path, jobs[0].label_path)
    segmenter = request.load_segmenter()
    started = time.monotonic()
    if chosen.live:
        return _evaluate_live(chosen, words, request, jobs, segmenter)
    with Interruption() as interruption, _progress_bar() as progress:
        outcomes = score_bags(request, jobs, segmenter, _observers(chosen), stop=interruption, progress=progress)
    model = ModelFacts.of(segmenter, chosen.model)
    return _report(chosen, _result(request, model, outcomes, words, time.monotonic() - started))


def _evaluate_live(
    chosen: argparse.Namespace, words: list[str], request: BagRequest, jobs: list[BagJob], segmenter: Segmenter
) -> int:
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
    with Interruption() as stop:
        outcomes, sections, equal = score_bags_live(
            request, jobs, segmenter, _observers(chosen), options, Path(chosen.output), stop=stop
        )
    model = ModelFacts.of(segmenter, chosen.model)
    result = _result(request, model, outcomes, words, time.monotonic() - started)
    result.sections.extend(sections)
    code = _report(chosen, result)
    for section in sections:
        print(f"\n{section.title}")
        for name, value in section.rows:
            print(f"  {name}: {value}")
    return code or int(not equal)


def _observers(chosen: argparse.Namespace) -> Callable[[BagJob, Segmenter], Iterator[FrameObserver]]:
    """What uses the pictures of each recording, besides the report."""

    def make(job: BagJob, segmenter: Segmenter) -> Iterator[FrameObserver]:
        yield from ()

    return make


def _request(chosen: argparse.Namespace) -> BagRequest:
    protocols: tuple[ProtocolName, ...] = ("native", "paper") if chosen.protocol == "both" else (chosen.protocol,)
    return BagRequest(
        model=chosen.model,
        topic=chosen.topic,
        label_topic=chosen.label_topic,
        label_folder=chosen.label_dir,
        label_map=_label_map(chosen.label_map),
        protocols=protocols,
        tolerance_s=chosen.tolerance,
        start_s=chosen.start,
        duration_s=chosen.duration,
        stride=chosen.stride,
        device=chosen.device,
        precision=chosen.precision,
        resize=chosen.resize,
    )


def _jobs(chosen: argparse.Namespace) -> list[BagJob]:
    paths = [*chosen.bags, *chosen.bag]
    if not paths:
        raise InvalidInputError("no bag was named", reason="option", expected="a bag directory, .mcap or .db3 file")
    label_paths = chosen.label_bag or [None] * len(paths)
    if len(label_paths) != len(paths):
        raise InvalidInputError(
            "--label-bag does not fit the bags",
            reason="option",
            got=f"{len(label_paths)} for {len(paths)} bags",
            expected="one for each bag, in the same order",
        )
    return [BagJob(path, label_path) for path, label_path in zip(paths, label_paths, strict=True)]


def _label_map(path: str | None) -> LabelMap | None:
    if path is None:
        return None
    pairs = read_yaml_mapping(path)
    if not all(isinstance(class_id, int) for pair in pairs.items() for class_id in pair):
        raise ConfigError(f"{path} is no label map", got=pairs, expected="lines `old: new` with ids of 0 to 255")
    return LabelMap.from_pairs({int(old): int(new) for old, new in pairs.items()}, "keep")


@contextmanager
def _progress_bar() -> Iterator[ShowProgress]:
    """One bar for each recording, replaced when the next one begins."""
    with tqdm(unit=" frames", disable=not sys.stderr.isatty()) as bar:
        current = ""

        def show(path: str, done: int, expected: int | None) -> None:
            nonlocal current
            if path != current:
                current = path
                bar.reset(expected)
                bar.set_description(Path(path).name)
            bar.update(done - bar.n)

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


def _report(chosen: argparse.Namespace, result: EvaluationResult) -> int:
    """Writes and prints the report; the exit code."""
    metrics = write_report(result, chosen.output)
    print_table(metrics)
    print(f"written to {chosen.output}")
    if result.interrupted:
        return 130
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
