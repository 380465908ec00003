"""The node's health as ``diagnostic_msgs``: every number has a fixed key, so that tools can read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from madm_ros.frame_statistics import FrameStatistics

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE

STAGES = ("wait", "decode", "inference", "publish", "total")
"""Stages of a frame's way, in order: waiting for the worker, message to picture, network, result messages, all."""


@dataclass
class Report:
    """Level, message and values of one status; problems raise the level and are joined in the message."""

    level: bytes = OK
    problems: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def problem(self, level: bytes, text: str) -> None:
        """Add a problem; the worst level wins."""
        self.level = max(self.level, level)
        self.problems.append(text)

    def status(self, name: str, hardware_id: str, fine: str = "ok") -> DiagnosticStatus:
        """The status message; ``fine`` is what it says when there is no problem."""
        return DiagnosticStatus(
            level=self.level,
            name=name,
            message="; ".join(self.problems) or fine,
            hardware_id=hardware_id,
            values=[KeyValue(key=key, value=value) for key, value in self.values.items()],
        )


def frame_values(statistics: FrameStatistics) -> dict[str, str]:
    """Counters and rates under their fixed keys. ``frames_received`` is the sum of the four after it."""
    counts = statistics.counts
    messages, size, rejected_messages = statistics.messages
    rate_in, rate_out = statistics.rates_hz
    values = {
        "messages_received": str(messages),
        "messages_rejected": str(sum(rejected_messages.values())),
        "bytes_received": str(size),
        "frames_received": str(counts.received),
        "frames_published": str(counts.published),
        "frames_dropped": str(sum(counts.dropped.values())),
        "frames_rejected": str(sum(counts.rejected.values())),
        "frames_pending": str(counts.pending),
        "input_rate_hz": f"{rate_in:.2f}",
        "output_rate_hz": f"{rate_out:.2f}",
    }
    values.update({f"dropped_{reason}": str(number) for reason, number in sorted(counts.dropped.items())})
    values.update({f"rejected_{reason}": str(number) for reason, number in sorted(counts.rejected.items())})
    values.update({f"rejected_message_{reason}": str(number) for reason, number in sorted(rejected_messages.items())})
    values["last_rejection"] = statistics.last_problem
    return values


def timing_values(statistics: FrameStatistics) -> dict[str, str]:
    """``<stage>_ms_median``, ``_p99`` and ``_max`` of every stage, and of the stamp's age when labels leave."""
    values: dict[str, str] = {}
    for stage in (*STAGES, "stamp_age"):
        numbers = statistics.percentiles_ms(stage)
        if numbers is not None:
            values.update(
                {
                    f"{stage}_ms_{kind}": f"{number:.2f}"
                    for kind, number in zip(("median", "p99", "max"), numbers, strict=True)
                }
            )
    return values


def value_text(value: object) -> str:
    """A number, flag or text as a diagnostic value."""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def text_values(values: Mapping[str, object]) -> dict[str, str]:
    """All values through :func:`value_text`."""
    return {key: value_text(value) for key, value in values.items()}


def diagnostic_array(stamp: Time, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    """The message for ``/diagnostics``."""
    array = DiagnosticArray(status=statuses)
    array.header.stamp = stamp
    return array
