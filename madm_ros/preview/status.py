"""What the preview page says in words and numbers about a node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from madm_core.labels import IGNORE
from madm_ros.diagnostics import ERROR, OK, STAGES, STALE, WARN
from madm_ros.preview.composition import class_shares
from madm_ros.preview.feed import PreviewFeed
from madm_ros.recent_frames import label_facts

if TYPE_CHECKING:
    from madm_ros.segmentation_node import SegmentationNode

LEVELS = {OK: "ok", WARN: "warning", ERROR: "error", STALE: "stale"}


def node_status(node: SegmentationNode, feed: PreviewFeed) -> dict[str, object]:
    """All of it, ready for JSON. Only reads, and may be called from any thread.

    Args:
        node: The node.
        feed: Where its newest frame is.
    """
    counts, statistics = node.statistics.counts, node.statistics
    rate_in, rate_out = statistics.rates_hz
    diagnostics, age_s = node.health.latest, time.monotonic() - node.health.published_s
    late = age_s > 2.0 + 3 * node.values.diagnostics_period_s
    statuses = [
        {"name": status.name.rpartition(": ")[2], "level": LEVELS[status.level], "message": status.message}
        for status in diagnostics
    ]
    stream, model, frame = node.stream, node.model, feed.frame
    return {
        "node": node.get_fully_qualified_name(),
        "state": node.state_label,
        "enabled": node.enabled,
        "reloading": node.reloading,
        "level": LEVELS[STALE if late else max((status.level for status in diagnostics), default=STALE)],
        "diagnostics": statuses,
        "diagnostics_age_s": round(age_s, 1) if diagnostics else None,
        "problem": node.problem,
        "model": node.values.model,
        "description": model.segmenter.description if model is not None else "",
        "topic": stream.input.topic if stream is not None else "",
        "rate_in_hz": round(rate_in, 2),
        "rate_out_hz": round(rate_out, 2),
        "latency_ms": {stage: statistics.percentiles_ms(stage) for stage in (*STAGES, "stamp_age")},
        "received": counts.received,
        "published": counts.published,
        "dropped": dict(counts.dropped),
        "rejected": dict(counts.rejected),
        "size": list(frame.labels.shape) if frame is not None else None,
        "confidence": label_facts(frame.labels, frame.confidence)[0] if frame is not None else None,
        "classes": _classes(node, feed),
    }


def _classes(node: SegmentationNode, feed: PreviewFeed) -> list[dict[str, object]]:
    """Id, name, colour, and share of the newest frame's pixels, of every class and of "no label"."""
    frame, model = feed.frame, node.model
    if frame is not None:
        label_set = frame.label_set
    elif model is not None:
        label_set = model.shown_label_set
    else:
        return []
    shares = class_shares(frame.labels) if frame is not None else None
    entries = [*zip(label_set.ids, label_set.names, label_set.colors, strict=True), (IGNORE, "no label", (0, 0, 0))]
    return [
        {"id": class_id, "name": name, "color": list(color), "share": None if shares is None else shares[class_id]}
        for class_id, name, color in entries
    ]
