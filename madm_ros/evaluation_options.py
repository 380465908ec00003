"""What the options of ``evaluate_bag`` ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from madm_core.config import read_yaml_mapping
from madm_core.errors import ConfigError, DataError, InvalidInputError
from madm_core.evaluation.bag_jobs import BagJob
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.frame_results import protocols_named
from madm_core.evaluation.prediction_export import export_path
from madm_core.evaluation.rerun_log import rerun_path
from madm_core.labels import LabelMap


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
        base=chosen.base,
    )


def jobs_of(chosen: argparse.Namespace) -> list[BagJob]:
    """The bags.

    Raises:
        InvalidInputError: There is none, or their options do not fit.
        DataError: A bag that is to be written is there already, or two bags would write the same file.
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
    if chosen.rerun is not None:
        files = [rerun_path(chosen.rerun, path, len(paths)) for path in paths]
        for file in [file for file in files if files.count(file) > 1]:
            raise DataError(
                f"the Rerun file {file} would be overwritten",
                got="several bags of that name",
                do="evaluate them one by one, each with a --rerun FILE.rrd of its own",
            )
    return [BagJob(*job) for job in zip(paths, label_paths, exports, strict=True)]


def _label_map(path: str | None) -> LabelMap | None:
    if path is None:
        return None
    pairs = read_yaml_mapping(path)
    if not all(isinstance(class_id, int) for pair in pairs.items() for class_id in pair):
        raise ConfigError(f"{path} is no label map", got=pairs, expected="lines `old: new` with ids of 0 to 255")
    return LabelMap.from_pairs({int(old): int(new) for old, new in pairs.items()}, "keep")
