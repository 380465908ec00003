"""``evaluate_bag``: the scores of a model on a recording with labels. Needs no ROS."""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from madm_core import __version__
from madm_core.command_line import command_parser, run_command
from madm_core.config import read_yaml_mapping
from madm_core.data.bag import BagReader
from madm_core.errors import ConfigError, DataError, InvalidInputError
from madm_core.evaluation.bag_evaluation import Protocol, evaluate
from madm_core.evaluation.bag_frames import Frame, MatchCounts, check_topic, event_frames, image_frames
from madm_core.evaluation.labels import IMAGE_TYPES, TrueLabels, labels_of_folder, labels_of_topic
from madm_core.labels import LabelMap
from madm_core.modalities import EventModality
from madm_core.segmenter import Segmenter

logger = logging.getLogger("evaluate_bag")

Item = TypeVar("Item")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "evaluate_bag",
        "Scores a model on a bag with ground truth. Writes metrics.json and prints a table.\n"
        "Pixels without ground truth (255) do not count; a prediction of 255 (no measurement) on a pixel with ground\n"
        "truth counts as a miss. mIoU is the mean over the classes present in the ground truth of the whole bag.",
        [
            "evaluate_bag --model models/depth --bag drive_1 --topic /depth/image --label-topic /labels --output out",
            "evaluate_bag --model models/event --bag drive_1 --topic /events --label-dir labels/ --protocol both",
        ],
    )
    options.add_argument("--model", required=True, help="model directory or hub id")
    options.add_argument("--bag", required=True, nargs="+", help="bag directory, .mcap or .db3; several count as one")
    options.add_argument("--topic", required=True, help="the sensor's topic")
    truth = options.add_mutually_exclusive_group(required=True)
    truth.add_argument("--label-topic", help="topic with ids (mono8, mono16) or the palette's colours (rgb8)")
    truth.add_argument("--label-dir", help="PNG files named <stamp in nanoseconds>.png or <sec>_<nanosec>.png")
    options.add_argument("--label-map", metavar="YAML", help="renames the labels' ids: lines `old: new`, others stay")
    options.add_argument(
        "--output", default="evaluation", metavar="DIR", help="where metrics.json goes (default evaluation)"
    )
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
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda chosen: _evaluate(chosen, words), parser().parse_args(words))


def _evaluate(chosen: argparse.Namespace, words: list[str]) -> int:
    if chosen.tolerance < 0 or chosen.stride < 1 or chosen.start < 0 or (chosen.duration or 1) <= 0:
        raise InvalidInputError(
            "these options cannot be used",
            reason="option",
            got=f"--tolerance {chosen.tolerance:g}, --stride {chosen.stride}, --start {chosen.start:g}",
            expected="a tolerance and a start of 0 or more, a stride of 1 or more, a duration above 0",
        )
    label_map = _label_map(chosen.label_map)
    counts = MatchCounts()
    protocols: tuple[Protocol, ...] = ("native", "paper") if chosen.protocol == "both" else (chosen.protocol,)
    # The labels are read through a reader of their own: the two streams advance independently of each other.
    with BagReader(chosen.bag) as bag, BagReader(chosen.bag) as label_bag:
        bag.require_topic(chosen.topic)
        if chosen.label_topic:
            bag.require_topic(chosen.label_topic, IMAGE_TYPES)
        segmenter = Segmenter.from_pretrained(
            chosen.model, device=chosen.device, precision=chosen.precision, resize=chosen.resize
        )
        check_topic(bag, chosen.topic, segmenter.modality)
        start_ns = bag.start_ns + int(chosen.start * 1e9)
        stop_ns = None if chosen.duration is None else start_ns + int(chosen.duration * 1e9)
        labels: Iterator[TrueLabels]
        if chosen.label_topic:
            labels = labels_of_topic(label_bag, chosen.label_topic, segmenter.label_set, label_map, start_ns, stop_ns)
        else:
            labels = labels_of_folder(Path(chosen.label_dir), segmenter.label_set, label_map)
        frames = _frames(chosen, bag, labels, counts, segmenter, start_ns, stop_ns)
        shown = tqdm(frames, unit=" frames", disable=not sys.stderr.isatty())
        segmenter.warm_up()
        evaluation = evaluate(segmenter, iter(shown), counts, protocols)
        if not evaluation.frames and not evaluation.interrupted:
            raise DataError(
                "nothing could be scored",
                got=f"{counts.unlabelled} frames and {counts.unmatched_labels} labels without a partner, "
                f"unusable: {counts.unusable or 'none'}",
                expected="frames and labels with equal stamps",
                do=f"say --tolerance SECONDS, or check the topics; the bag holds {bag.describe()}",
            )
        report: dict[str, Any] = {
            "format": 1,
            "model": segmenter.description,
            "bag": [str(path) for path in chosen.bag],
            "topic": chosen.topic,
            "labels_from": chosen.label_topic or chosen.label_dir,
            "tolerance_s": chosen.tolerance,
            **evaluation.to_dict(counts),
            "warnings": bag.warnings,
            "command": ["evaluate_bag", *words],
            "versions": {"madm_ros": __version__, "torch": torch.__version__, "python": platform.python_version()},
        }
    output = Path(chosen.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "metrics.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    _print_table(report)
    print(f"written to {output / 'metrics.json'}")
    return 130 if evaluation.interrupted else 0


def _frames(
    chosen: argparse.Namespace,
    bag: BagReader,
    labels: Iterator[TrueLabels],
    counts: MatchCounts,
    segmenter: Segmenter,
    start_ns: int,
    stop_ns: int | None,
) -> Iterator[Frame]:
    modality = segmenter.modality
    if isinstance(modality, EventModality):
        # Decoding is cheap compared with the network: the stride applies to the labels at which windows end.
        chosen_labels = _every(labels, chosen.stride)
        return event_frames(bag, chosen.topic, chosen_labels, counts, modality, start_ns=start_ns, stop_ns=stop_ns)
    tolerance_ns = round(chosen.tolerance * 1e9)
    frames = image_frames(
        bag, chosen.topic, labels, counts, tolerance_ns=tolerance_ns, start_ns=start_ns, stop_ns=stop_ns
    )
    return _every(frames, chosen.stride)


def _every(items: Iterator[Item], stride: int) -> Iterator[Item]:
    return (item for index, item in enumerate(items) if index % stride == 0)


def _label_map(path: str | None) -> LabelMap | None:
    if path is None:
        return None
    pairs = read_yaml_mapping(path)
    if not all(isinstance(class_id, int) for pair in pairs.items() for class_id in pair):
        raise ConfigError(f"{path} is no label map", got=pairs, expected="lines `old: new` with ids of 0 to 255")
    return LabelMap.from_pairs({int(old): int(new) for old, new in pairs.items()}, "keep")


def _percent(value: float | None) -> str:
    return "     -" if value is None else f"{100 * value:6.2f}"


def _print_table(report: dict[str, Any]) -> None:
    frames = report["frames"]
    print(f"{report['model']}\n{report['topic']} of {', '.join(report['bag'])}")
    print(
        f"{frames['scored']} frames scored; {frames['without_labels']} without labels, "
        f"{frames['labels_without_frame']} labels without a frame, {frames['out_of_order']} out of order, "
        f"unusable: {frames['unusable'] or 'none'}" + ("; INTERRUPTED" if report["interrupted"] else "")
    )
    for protocol, result in report["protocols"].items():
        print(f"\nprotocol {protocol}: {result['meaning']}")
        print(f"  {'class':<16}{'IoU %':>8}{'acc %':>8}{'pixels':>12}")
        for name, entry in result["classes"].items():
            print(f"  {name:<16}{_percent(entry['iou']):>8}{_percent(entry['accuracy']):>8}{entry['pixels']:>12}")
        low, high = result["mean_iou_interval_95"] or (None, None)
        print(f"  mIoU % {_percent(result['mean_iou'])} (95 % over frames:{_percent(low)} to{_percent(high)}); "
              f"reference's variant {_percent(result['mean_iou_reference'])}")  # fmt: skip
        print(f"  pixel accuracy {_percent(result['pixel_accuracy'])}, "
              f"mean accuracy {_percent(result['mean_accuracy'])}, "
              f"frequency-weighted IoU {_percent(result['frequency_weighted_iou'])}")  # fmt: skip
        print(f"  boundary IoU {_percent(result['boundary_iou']['mean'])} (strips of 2 % of the diagonal)")
        share = result["predicted_share"]
        if share is not None and share < 1:
            print(f"  {_percent(1 - share)} % of the pixels have no measurement and count as misses; "
                  f"without them mIoU would be {_percent(result['mean_iou_where_predicted'])}")  # fmt: skip
    if report["calibration"]:
        error = report["calibration"]["expected_calibration_error"]
        print(f"\nexpected calibration error of the confidence {_percent(error)} %")
    if report["latency_ms"]:
        latency = report["latency_ms"]
        print(
            f"\nencode + segment: median {latency['median']:.1f} ms, p90 {latency['p90']:.1f}, p99 {latency['p99']:.1f}"
        )


if __name__ == "__main__":
    sys.exit(main())
