"""``report.html``: one file that needs nothing else, with every word from outside escaped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from madm_core import __version__
from madm_core.evaluation.bootstrap import mean_ious
from madm_core.evaluation.confusion_chart import confusion_heat_map
from madm_core.evaluation.evaluation_result import EvaluationResult
from madm_core.evaluation.frame_choice import worst_median_best
from madm_core.evaluation.report_charts import histogram, iou_over_time, iou_sparkline, reliability, risk_coverage
from madm_core.evaluation.report_frames import MISSING, WRONG, FramePictures, frame_pictures
from madm_core.evaluation.svg_plot import css_color
from madm_core.labels import LabelSet
from madm_core.palettes import in_palette

_DASH = "–"

_SCORES = (
    ("mIoU, classes in the ground truth (%)", "mean_iou"),
    ("mIoU as the MADM authors compute it, over classes true or predicted (%)", "mean_iou_reference"),
    ("mIoU where the sensor measured something (%)", "mean_iou_where_predicted"),
    ("pixel accuracy (%)", "pixel_accuracy"),
    ("mean accuracy of the classes (%)", "mean_accuracy"),
    ("frequency-weighted IoU (%)", "frequency_weighted_iou"),
    ("pixels with a prediction (%)", "predicted_share"),
)


def report_page(result: EvaluationResult, metrics: Mapping[str, Any], palette: str = "label_set") -> str:
    """The page.

    Args:
        result: The evaluation.
        metrics: Its ``metrics.json``.
        palette: Class colours, one of :data:`madm_core.palette_names.PALETTES`.
    """
    label_set = in_palette(result.label_set, palette)
    folder = files("madm_core.evaluation") / "page"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    protocol = result.protocols[0]
    total = result.total()
    name = result.model.path.rstrip("/").rpartition("/")[2] or result.model.path
    return template.render(
        css=Markup((folder / "report.css").read_text(encoding="utf-8")),
        script=Markup((folder / "report.js").read_text(encoding="utf-8")),
        title=f"{name}: segmentation report",
        created=result.created.replace("T", " ").replace("+00:00", " UTC"),
        version=__version__,
        model={"name": name, "description": _subtitle(result)},
        banners=_banners(result),
        tiles=_tiles(result, metrics),
        protocols=[{"name": key, "meaning": entry["meaning"]} for key, entry in metrics["protocols"].items()],
        classes=_classes(result, metrics, label_set),
        score_rows=_score_rows(metrics),
        frames=[_frame(pictures) for pictures in chosen_frames(result, label_set)],
        error_colors={"wrong": css_color(WRONG), "missing": css_color(MISSING)},
        has_times=result.has_times,
        charts={
            "time": iou_over_time(result.bags, protocol, has_times=result.has_times),
            "reliability": reliability(metrics["calibration"]),
            "risk_coverage": risk_coverage(total.risk_coverage),
            "latency": histogram(total.frames.milliseconds, "Latency"),
            "confusion": confusion_heat_map(total.matrix(protocol), label_set),
        },
        confusion_protocol=protocol,
        captions=_captions(metrics),
        sections=[
            {
                "key": section.key,
                "title": section.title,
                "text": section.text,
                "rows": section.rows,
                "charts": [(title, histogram(values, title)) for title, values in section.histograms.items()],
            }
            for section in result.sections
        ],
        bags=_bags(result, metrics),
        command=shlex.join(result.command),
        origin=_origin(result, metrics),
        provenance=_provenance(result),
    )


def chosen_frames(result: EvaluationResult, label_set: LabelSet) -> list[FramePictures]:
    """The frames that the page shows, in the colours of ``label_set``: worst, median, best."""
    if not any(choice.candidates for choice in result.choices):
        return []
    values = mean_ious(result.matrices(result.protocols[0]))
    groups = worst_median_best(result.choices, float(np.nanmedian(values)))
    starts = {bag.name: bag.start_ns if result.has_times else None for bag in result.bags}
    return [
        frame_pictures(frame, kind, label_set, starts.get(frame.bag))
        for kind, frames in groups.items()
        for frame in frames
    ]


def _frame(shown: FramePictures) -> dict[str, Any]:
    when = f"stamp {shown.stamp_ns}" if shown.seconds is None else f"{shown.seconds:.2f} s, stamp {shown.stamp_ns}"
    return {
        "kind": shown.kind, "mean_iou": shown.mean_iou, "wrong": shown.wrong, "pictures": shown.pictures,
        "where": f"{shown.bag}, {when}",
    }  # fmt: skip


def _subtitle(result: EvaluationResult) -> str:
    frames = f"{result.scored} frames of {len(result.bags)} {'bag' if len(result.bags) == 1 else 'bags'}"
    topic = result.source.get("topic")
    return f"{result.model.description}. {frames}" + (f", topic {topic}." if topic else ".")


def _banners(result: EvaluationResult) -> list[str]:
    words = []
    if result.interrupted:
        of = "" if result.expected is None else f" of {result.expected}"
        words.append(f"interrupted after {result.scored}{of} frames: these are the scores until then")
    failed = [failure for failure in result.failures if failure.error]
    if failed:
        whole = len(result.bags) + len(result.failures)
        words.append(f"{len(failed)} of {whole} bags could not be scored: see the list of bags")
    for bag in result.bags:
        words.extend(f"{bag.name}: {warning}" for warning in bag.warnings)
    return words


def _percent(value: float | None, digits: int = 1) -> str:
    return _DASH if value is None else f"{100 * value:.{digits}f}"


def _tiles(result: EvaluationResult, metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    main = metrics["protocols"][result.protocols[0]]
    interval = main["mean_iou_interval_95"]
    sure = _DASH if interval is None else f"95 % {_percent(interval[0])} to {_percent(interval[1])}"
    latency = metrics["latency_ms"]
    error = metrics["calibration"]["expected_calibration_error"]
    share = main["predicted_share"]

    def tile(name: str, value: str, more: str, unit: str = "%") -> dict[str, str]:
        return {"name": name, "value": value, "unit": unit if value != _DASH else "", "more": more}

    return [
        tile("mIoU", _percent(main["mean_iou"]), sure),
        tile("pixel accuracy", _percent(main["pixel_accuracy"]), f"{_percent(share)} % of pixels predicted"),
        tile("boundary IoU", _percent(main["boundary_iou"]["mean"]), "strips of 2 % of the diagonal"),
        tile("calibration error", _percent(error), "of the confidence"),
        tile("latency", _DASH if latency is None else f"{latency['median']:.4g}",
             "not measured" if latency is None else f"median; p99 {latency['p99']:.4g} ms", "ms"),
        tile("frames", str(result.scored), f"{metrics['frames']['without_labels']} without labels", ""),
    ]  # fmt: skip


def _classes(result: EvaluationResult, metrics: Mapping[str, Any], label_set: LabelSet) -> list[dict[str, Any]]:
    protocols = metrics["protocols"]
    main = protocols[result.protocols[0]]
    pixels = sum(entry["pixels"] for entry in main["classes"].values())
    rows = []
    for name, color in zip(label_set.names, label_set.colors, strict=True):
        entry = main["classes"][name]
        rows.append(
            {
                "name": name,
                "color": css_color(color),
                "present": entry["pixels"] > 0,
                "ious": [protocols[protocol]["classes"][name]["iou"] for protocol in protocols],
                "accuracy": entry["accuracy"],
                "boundary_iou": main["boundary_iou"][name],
                "pixel_share": entry["pixels"] / pixels if pixels else None,
            }
        )
    return rows


def _score_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = list(metrics["protocols"].values())
    rows = [{"name": name, "cells": [_percent(entry[key], 2) for entry in found]} for name, key in _SCORES]
    rows.append({"name": "boundary IoU (%)", "cells": [_percent(entry["boundary_iou"]["mean"], 2) for entry in found]})
    rows.append({"name": "size", "cells": [entry["size"] for entry in found]})
    for name, key in (("frames", "mean_iou_interval_95"), ("bags", "mean_iou_interval_95_over_bags")):
        intervals = [entry[key] for entry in found]
        if any(interval is not None for interval in intervals):
            cells = [
                _DASH if pair is None else f"{_percent(pair[0], 2)} to {_percent(pair[1], 2)}" for pair in intervals
            ]
            rows.insert(1 if key == "mean_iou_interval_95" else 2, {
                "name": f"95 % interval of mIoU, bootstrap over {name} (%)", "cells": cells,
            })  # fmt: skip
    return rows


def _captions(metrics: Mapping[str, Any]) -> dict[str, str]:
    calibration, risk, latency = metrics["calibration"], metrics["risk_coverage"], metrics["latency_ms"]
    error = calibration["expected_calibration_error"]
    half = next((point["risk"] for point in risk["points"] if point["coverage"] == 0.5), None)
    return {
        "reliability": "no confidence to judge" if error is None else
        f"Expected calibration error {_percent(error)} %. Red: surer than right; green: more right than sure.",
        "risk_coverage": "no confidence to judge" if half is None else
        f"{_percent(half)} % wrong among the surest half, {_percent(risk['points'][-1]['risk'])} % among all.",
        "latency": "not measured" if latency is None else
        f"Encoding and network, one frame at a time: p90 {latency['p90']:.4g} ms, longest {latency['max']:.4g} ms.",
    }  # fmt: skip


def _bags(result: EvaluationResult, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    courses = {bag.name: iou_sparkline(bag, result.protocols[0]) for bag in result.bags}
    rows = []
    for entry in metrics["bags"]:
        frames, latency = entry.get("frames", {}), entry.get("latency_ms")
        note = entry.get("error") or (entry["status"] if entry["status"] != "scored" else "")
        rows.append(
            {
                "name": entry["bag"],
                "note": note,
                "mean_iou": entry["protocols"][result.protocols[0]]["mean_iou"] if "protocols" in entry else None,
                "course": courses.get(entry["bag"], ""),
                "scored": frames.get("scored", 0),
                "without_labels": frames.get("without_labels", 0),
                "labels_without_frame": frames.get("labels_without_frame", 0),
                "unusable": sum(frames.get("unusable", {}).values()) + frames.get("out_of_order", 0),
                "median_ms": latency["median"] if latency else None,
            }
        )
    return rows


def _origin(result: EvaluationResult, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(name.replace("_", " "), _plain(value)) for name, value in result.source.items() if value is not None]
    if result.seconds is not None:
        rows.append(("took", f"{result.seconds:.1f} s"))
    rows.append(("label set", f"{result.label_set.name}, {len(result.label_set)} classes"))
    return rows + list(result.versions.items())


def _provenance(result: EvaluationResult) -> list[tuple[str, str]]:
    model = result.model
    rows = [("directory", model.path), ("encoding", _plain(model.modality))]
    rows += [(name.replace("_", " "), _plain(value)) for name, value in model.provenance.items()]
    return rows + [
        (f"SHA-256 of {name}", digest) for name, digest in model.files.items() if name.endswith("safetensors")
    ]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
