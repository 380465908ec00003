"""What an evaluation says at its end, whatever its frames came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from madm_core.command_line import INTERRUPTED, Outcome
from madm_core.evaluation.evaluation_result import EvaluationResult
from madm_core.evaluation.metrics import scores


def report_outcome(result: EvaluationResult, output: str, code: int) -> Outcome:
    """The outcome of an evaluation whose report was written to the folder ``output``.

    Args:
        result: What was reported.
        output: The folder.
        code: The exit code, unless it was interrupted.
    """
    total = result.total()
    facts: dict[str, Any] = {
        "frames_scored": result.scored,
        "frames_expected": result.expected,
        "interrupted": result.interrupted,
        "mean_iou": {protocol: scores(total.matrix(protocol)).mean_iou for protocol in result.protocols},
        "failures": [failure.to_dict() for failure in result.failures],
    }
    report = Path(output) / "report.html"
    return Outcome(
        INTERRUPTED if result.interrupted else code,
        [report, Path(output) / "metrics.json"],
        [f"open {report} in a browser, or compare two evaluations: evaluate_bag --compare {output} OTHER"],
        facts,
    )
