"""The report's charts: what they show, drawn with :mod:`svg_plot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.bootstrap import mean_ious
from madm_core.evaluation.frame_results import ProtocolName
from madm_core.evaluation.risk_coverage import RiskCoverage
from madm_core.evaluation.svg_plot import SvgPlot, sparkline

_MOST_DOTS = 1500
_NAMED_BAGS = 8


def iou_over_time(bags: Sequence[BagScores], protocol: ProtocolName, *, has_times: bool = True) -> Markup:
    """Mean IoU of each frame as dots, and pooled over neighbouring frames as a line; bags one after the other.

    Args:
        bags: The recordings.
        protocol: Which scores.
        has_times: Whether stamps are times; else the axis counts frames.
    """
    parts, begins, offset = [], [], 0.0
    for bag in bags:
        times = _times(bag, has_times)
        begins.append((offset, bag.name))
        parts.append((times + offset, bag.frames.matrices(protocol)))
        offset += float(times[-1]) + (float(np.median(np.diff(times))) if len(times) > 1 else 1.0) if len(times) else 0
    # One recording keeps its own time axis, which begins where its first scored frame lies.
    first = float(parts[0][0][0]) if len(parts) == 1 and len(parts[0][0]) else 0.0
    last = max((float(times[-1]) for times, _ in parts if len(times)), default=1.0)
    x_label = (
        "frame" if not has_times else "bag time (s)" if len(bags) == 1 else "bag time, one bag after the other (s)"
    )
    values = [mean_ious(matrices) for _, matrices in parts]
    top = max((float(np.nanmax(found)) for found in values if len(found) and not np.isnan(found).all()), default=1.0)
    plot = SvgPlot(
        "Mean IoU over time", (first, last), (0, min(1.0, top * 1.12 + 0.01)), x_label, "mIoU (%)", size=(1080, 270),
        percent=True,
    )  # fmt: skip
    frames = sum(len(times) for times, _ in parts)
    step = max(1, -(-frames // _MOST_DOTS))
    for (times, matrices), found in zip(parts, values, strict=True):
        plot.dots(zip(times[::step].tolist(), found[::step].tolist(), strict=True), "dot")
        if len(times) >= 12:
            centres, pooled = _pooled(times, matrices, min(80, len(times) // 4))
            plot.line(zip(centres, pooled, strict=True), "line")
    if len(bags) > 1:
        for begin, name in begins:
            plot.vertical(begin, "border", name.rstrip("/").rpartition("/")[2] if len(bags) <= _NAMED_BAGS else "")
    return plot.render()


def iou_sparkline(bag: BagScores, protocol: ProtocolName) -> Markup:
    """The pooled mean IoU of a recording, for its row in the table."""
    matrices = bag.frames.matrices(protocol)
    if not len(matrices):
        return Markup("")
    _, pooled = _pooled(_times(bag, False), matrices, min(40, len(matrices)))
    return sparkline(pooled, "mIoU over the bag, 0 to 100 %")


def _times(bag: BagScores, has_times: bool) -> npt.NDArray[np.float64]:
    if not has_times:
        return np.arange(len(bag.frames), dtype=np.float64)
    start_ns = bag.start_ns or 0
    # A label may be stamped before the first recorded message: the axis then begins at the label.
    stamps = bag.frames.stamps_ns
    return (stamps - min(start_ns, int(stamps[0]) if len(stamps) else start_ns)) / 1e9


def _pooled(
    times: npt.NDArray[np.float64], matrices: npt.NDArray[np.int32], bins: int
) -> tuple[list[float], list[float]]:
    """Mean IoU of the summed matrices of so many groups of neighbouring frames, at their mean times."""
    edges = np.linspace(0, len(times), bins + 1).astype(int)[:-1]
    sums = np.add.reduceat(matrices, edges, axis=0, dtype=np.int64)
    counts = np.diff(np.append(edges, len(times)))
    return (np.add.reduceat(times, edges) / counts).tolist(), mean_ious(sums).tolist()


def histogram(values: npt.NDArray[Any], title: str, x_label: str = "ms") -> Markup:
    """How often which value occurred, with median and 99th percentile; the longest 0.5 % lie in the last bar."""
    found = values[~np.isnan(values)].astype(np.float64)
    if not len(found):
        plot = SvgPlot(title, (0, 1), (0, 1), x_label, "frames")
        plot.note("not measured")
        return plot.render()
    low, high = float(found.min()), float(np.quantile(found, 0.995))
    high = max(high, low + max(abs(low), 1e-6) * 1e-3)
    bins = int(np.clip(np.sqrt(len(found)) * 1.5, 8, 48))
    counts, edges = np.histogram(np.minimum(found, high), bins, (low, high))
    plot = SvgPlot(title, (low, high), (0, float(counts.max()) * 1.15), x_label, "frames")
    for count, begin, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            plot.bar((begin, end), (0, count), "bar", f"{begin:.4g} to {end:.4g}: {count} frames")
    for row, (name, share) in enumerate((("median", 0.5), ("p99", 0.99))):
        value = float(np.quantile(found, share))
        plot.vertical(value, "mark-line", f"{name} {value:.4g}", row=row)
    return plot.render()


def reliability(calibration: dict[str, Any]) -> Markup:
    """Share of right pixels against their confidence; the width of the marks is the share of all pixels.

    Args:
        calibration: ``Calibration.to_dict()``.
    """
    plot = SvgPlot("Reliability of the confidence", (0, 1), (0, 1), "confidence", "right pixels (%)", percent=True)
    total = sum(entry["pixels"] for entry in calibration["bins"])
    plot.line([(0, 0), (1, 1)], "ideal", "a confidence that means what it says")
    for entry in calibration["bins"]:
        confidence, accuracy = entry["confidence"], entry["accuracy"]
        css = "gap over" if confidence > accuracy else "gap under"
        share = entry["pixels"] / total
        half = 0.012 + 0.02 * share**0.5
        hint = f"confidence {confidence:.2f}: {100 * accuracy:.1f} % right, {100 * share:.1f} % of the pixels"
        plot.bar((confidence - half, confidence + half), (accuracy, confidence), css, hint)
    plot.line([(entry["confidence"], entry["accuracy"]) for entry in calibration["bins"]], "line")
    plot.dots([(entry["confidence"], entry["accuracy"]) for entry in calibration["bins"]], "dot strong", 2.6)
    if not total:
        plot.note("no confidence")
    return plot.render()


def risk_coverage(collected: RiskCoverage) -> Markup:
    """Share of wrong pixels among the most confident ones, against how many of them are used."""
    coverage, risk = collected.curve()
    if not len(coverage):
        plot = SvgPlot("Risk and coverage", (0, 1), (0, 1), "covered pixels", "wrong pixels (%)", percent=True)
        plot.note("no confidence")
        return plot.render()
    chosen = np.unique(np.searchsorted(coverage, np.linspace(coverage[0], 1, 200)).clip(0, len(coverage) - 1))
    top = max(float(risk[chosen].max()) * 1.15, 0.01)
    plot = SvgPlot(
        "Risk and coverage", (0, 1), (0, top), "share of pixels used, surest first", "wrong pixels (%)", percent=True
    )
    xs, ys = coverage[chosen].tolist(), risk[chosen].tolist()
    plot.band(xs, [0.0] * len(xs), ys, "area")
    plot.line(zip(xs, ys, strict=True), "line", "risk among the pixels used")
    plot.line([(0, float(risk[-1])), (1, float(risk[-1]))], "ideal", "all pixels")
    return plot.render()
