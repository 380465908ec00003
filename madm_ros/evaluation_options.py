"""The options of ``evaluate_bag``, and what they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from madm_core.command_line import command_parser
from madm_core.config import read_yaml_mapping
from madm_core.errors import ConfigError, DataError, InvalidInputError
from madm_core.evaluation.bag_jobs import BagJob
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.frame_results import protocols_named
from madm_core.evaluation.prediction_export import export_path
from madm_core.labels import LabelMap


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
            "evaluate_bag drive_1 --compare models/a models/b --topic /depth/image --label-topic /labels --output out",
            "evaluate_bag --compare out_a out_b            # two finished evaluations of the same frames",
            "evaluate_bag runs/*.mcap --model models/depth --topic /depth/image --label-topic /labels --workers 4",
        ],
    )
    options.add_argument("bags", nargs="*", metavar="BAG", help="bag directory, .mcap or .db3")
    options.add_argument("--bag", nargs="+", default=[], metavar="BAG", help="the same, as an option")
    options.add_argument("--model", help="model directory or hub id")
    options.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two models, or two folders of finished evaluations: the difference of their mIoU with its interval",
    )
    options.add_argument("--topic", help="the sensor's topic")
    truth = options.add_mutually_exclusive_group()
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
    where = options.add_argument_group("many bags")
    where.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, one bag at a time each (default 1)"
    )
    where.add_argument(
        "--ray", metavar="ADDRESS", help="spread bags over a Ray cluster: HOST:PORT, auto, or local (extra `ray`)"
    )
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
    options.add_argument("--rerun", metavar="FILE.rrd", help="also write the frames for the Rerun viewer (extra `viz`)")
    options.add_argument(
        "--export-predictions",
        nargs="?",
        const="",
        metavar="DIR",
        help="write <bag>_predictions with label and confidence topics, beside each bag or in DIR",
    )


def request_of(chosen: argparse.Namespace) -> BagRequest:
    """What the options ask for.

    Raises:
        InvalidInputError: One is missing or out of its range.
        ConfigError: The label map cannot be used.
    """
    needed = {"--model": chosen.model, "--topic": chosen.topic, "--label-topic": chosen.label_topic or chosen.label_dir}
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise InvalidInputError(
            f"{' and '.join(missing)} must be given",
            reason="option",
            expected="--model, --topic and either --label-topic or --label-dir",
            do="see evaluate_bag --help",
        )
    return BagRequest(
        model=chosen.model,
        topic=chosen.topic,
        label_topic=chosen.label_topic,
        label_folder=chosen.label_dir,
        label_map=_label_map(chosen.label_map),
        protocols=protocols_named(chosen.protocol),
        tolerance_s=chosen.tolerance,
        start_s=chosen.start,
        duration_s=chosen.duration,
        stride=chosen.stride,
        device=chosen.device,
        precision=chosen.precision,
        resize=chosen.resize,
    )


def jobs_of(chosen: argparse.Namespace) -> list[BagJob]:
    """The bags.

    Raises:
        InvalidInputError: There is none, or their options do not fit.
        DataError: A bag that is to be written is there already.
    """
    if chosen.workers < 1:
        raise InvalidInputError("--workers cannot be used", reason="option", got=chosen.workers, expected="1 or more")
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
    exports: list[str | None] = [None] * len(paths)
    if chosen.export_predictions is not None:
        if chosen.protocol == "paper":
            raise InvalidInputError(
                "predictions are exported at the sensor's size", reason="option", got="--protocol paper",
                do="say --protocol both",
            )  # fmt: skip
        exports = [export_path(path, chosen.export_predictions) for path in paths]
        for path in [path for path in exports if path is not None and (Path(path).exists() or exports.count(path) > 1)]:
            raise DataError(
                f"the bag {path} would be overwritten", do="remove it, or name a folder: --export-predictions DIR"
            )
    return [BagJob(*job) for job in zip(paths, label_paths, exports, strict=True)]


def _label_map(path: str | None) -> LabelMap | None:
    if path is None:
        return None
    pairs = read_yaml_mapping(path)
    if not all(isinstance(class_id, int) for pair in pairs.items() for class_id in pair):
        raise ConfigError(f"{path} is no label map", got=pairs, expected="lines `old: new` with ids of 0 to 255")
    return LabelMap.from_pairs({int(old): int(new) for old, new in pairs.items()}, "keep")
