"""What an evaluation leaves on the disk: ``metrics.json``, ``frames.npz`` and ``report.html``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from madm_core.errors import DataError
from madm_core.evaluation.evaluation_result import EvaluationResult
from madm_core.evaluation.metrics_file import replace_text, write_metrics
from madm_core.evaluation.report_page import report_page


def write_report(
    result: EvaluationResult, output: str | os.PathLike[str], palette: str = "label_set"
) -> dict[str, Any]:
    """Writes the report of an evaluation, whatever its frames came from.

    Args:
        result: At least one recording, with or without frames.
        output: Folder, made where it is missing; files of an earlier report in it are replaced.
        palette: Class colours of the page, one of :data:`madm_core.palette_names.PALETTES`.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: The folder cannot be written.
    """
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        metrics = write_metrics(result, folder)
        replace_text(folder / "report.html", report_page(result, metrics, palette))
    except OSError as error:
        raise DataError(f"the report cannot be written to {folder}", got=error, do="choose another --output") from error
    return metrics
