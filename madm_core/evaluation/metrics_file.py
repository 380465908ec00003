"""``metrics.json``, whose layout docs/evaluation.md describes, and ``frames.npz`` beside it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from madm_core.evaluation.bag_scores import BagScores, frame_counts, percentiles
from madm_core.evaluation.bootstrap import Interval, mean_iou_interval
from madm_core.evaluation.evaluation_result import EvaluationResult
from madm_core.evaluation.frame_results import PROTOCOLS, ProtocolName
from madm_core.evaluation.metrics import plain, scores

FORMAT, FORMAT_VERSION = "madm metrics", 1


def metrics_of(result: EvaluationResult) -> dict[str, Any]:
    """The content of ``metrics.json``; what is not defined is None, never NaN."""
    total = result.total()
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": result.created,
        "model": result.model.to_dict(),
        "label_set": result.label_set.to_dict(),
        "source": dict(result.source),
        "frames": frame_counts(result.scored, result.expected, total.counts),
        "interrupted": result.interrupted,
        "protocols": {protocol: _protocol(result, total, protocol) for protocol in result.protocols},
        "calibration": total.calibration.to_dict(),
        "risk_coverage": total.risk_coverage.to_dict(),
        "latency_ms": percentiles(total.frames.milliseconds),
        "bags": [bag.to_dict() for bag in result.bags] + [failure.to_dict() for failure in result.failures],
        "sections": {section.key: dict(section.data) for section in result.sections},
        "seconds": result.seconds,
        "command": list(result.command),
        "versions": result.versions,
    }


def _protocol(result: EvaluationResult, total: BagScores, protocol: ProtocolName) -> dict[str, Any]:
    matrices = total.frames.matrices(protocol)
    matrix = total.matrix(protocol)
    measured = matrix.copy()
    measured[:, -1] = 0  # as if pixels without a prediction had no ground truth
    several = len(result.bags) > 1
    boundaries = total.boundary_iou(protocol)
    found = boundaries[~np.isnan(boundaries)]
    return {
        "meaning": PROTOCOLS[protocol],
        "size": "x".join(map(str, total.network_size)) if protocol == "paper" else "of the sensor",
        **scores(matrix).to_dict(result.label_set),
        "boundary_iou": {
            "mean": float(found.mean()) if found.size else None,
            **{name: plain(value) for name, value in zip(result.label_set.names, boundaries, strict=True)},
        },
        "mean_iou_where_predicted": scores(measured).to_dict(result.label_set)["mean_iou"],
        "mean_iou_interval_95": _bounds(mean_iou_interval(matrices)),
        "mean_iou_interval_95_over_bags": _bounds(mean_iou_interval(matrices, sequences=result.sequences()))
        if several
        else None,
        "confusion_matrix": matrix.tolist(),
    }


def _bounds(interval: Interval) -> list[float] | None:
    return None if math.isnan(interval.low) else [interval.low, interval.high]


def write_metrics(result: EvaluationResult, folder: Path) -> dict[str, Any]:
    """Writes both files; what was there before is replaced at once or not at all.

    Returns:
        The content of ``metrics.json``.
    """
    metrics = metrics_of(result)
    columns: dict[str, Any] = {
        "stamps_ns": np.concatenate([bag.frames.stamps_ns for bag in result.bags]),
        "bags": result.sequences(),
        "bag_names": np.array([bag.name for bag in result.bags]),
        "milliseconds": np.concatenate([bag.frames.milliseconds for bag in result.bags]),
        **{f"matrices_{protocol}": result.matrices(protocol) for protocol in result.protocols},
    }
    unfinished = folder / ".frames.npz.part"
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **columns)
    os.replace(unfinished, folder / "frames.npz")
    text = json.dumps(metrics, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    replace_text(folder / "metrics.json", text)
    return metrics


def replace_text(path: Path, text: str) -> None:
    """Writes a file of UTF-8 text so that nobody ever reads half of it."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
