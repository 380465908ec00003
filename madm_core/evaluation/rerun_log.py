"""Frames for the Rerun viewer (https://rerun.io): pictures, labels, confidence and ground truth on the bag's time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from madm_core.errors import DataError, MissingDependencyError
from madm_core.evaluation.frame_results import FrameResult
from madm_core.evaluation.metrics import confusion_matrix, scores
from madm_core.labels import IGNORE, LabelSet

TIMELINE = "bag_time"
_JPEG_QUALITY = 90


class RerunLog:
    """An observer that writes an ``.rrd`` file.

    The entities are ``input``, ``labels``, ``truth``, ``confidence`` and ``mean_iou``; classes are shown with their
    names and colours. The only timeline is ``bag_time``, the frames' stamps. Rerun's library writes the file and
    nothing else: it connects to nowhere. (Its viewer collects usage statistics unless ``rerun analytics disable`` was
    called.)

    Args:
        path: The file; one that exists is replaced.
        label_set: The classes.

    Raises:
        MissingDependencyError: The package rerun-sdk is not installed.
        DataError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], label_set: LabelSet) -> None:
        rerun = _import_rerun()
        self._rerun = rerun
        self._classes = len(label_set)
        file = Path(path)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.open("wb").close()  # Rerun reports a file that it cannot write late, and without a reason
        except OSError as error:
            raise DataError(f"the Rerun file {file} cannot be written", got=error.strerror) from error
        self._stream = rerun.RecordingStream("madm_ros_evaluation", send_properties=False)
        self._stream.set_log_time_enabled(False)
        self._stream.set_log_tick_enabled(False)
        self._stream.save(file, default_blueprint=_blueprint(rerun))
        classes = [(class_id, label_set.names[class_id], label_set.colors[class_id]) for class_id in label_set.ids]
        self._log("/", rerun.AnnotationContext([*classes, (IGNORE, "no label", (0, 0, 0))]), static=True)

    def frame(self, result: FrameResult) -> None:
        """See :class:`~madm_core.evaluation.frame_results.FrameObserver`."""
        rerun = self._rerun
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(result.stamp_ns, "ns"))
        picture = np.round(np.clip(result.image, 0, 1) * 255).astype(np.uint8)
        self._log("input", rerun.Image(picture).compress(jpeg_quality=_JPEG_QUALITY))
        self._log("labels", rerun.SegmentationImage(result.labels))
        self._log("truth", rerun.SegmentationImage(result.truth))
        if result.confidence is not None:
            self._log("confidence", rerun.Image(np.round(result.confidence * 255).astype(np.uint8)))
        mean_iou = scores(confusion_matrix(result.labels, result.truth, self._classes)).mean_iou
        if not np.isnan(mean_iou):
            self._log("mean_iou", rerun.Scalars(mean_iou))

    def close(self) -> None:
        """Finishes the file."""
        self._stream.flush()
        self._stream.disconnect()

    def _log(self, entity: str, value: Any, static: bool = False) -> None:
        self._stream.log(entity, value, static=static, strict=True)


def rerun_path(path: str, bag: str, bags: int) -> Path:
    """The file for one of several bags: ``path`` itself for a single one, else with the bag's name in its own."""
    file = Path(path)
    return file if bags == 1 else file.with_name(f"{file.stem}_{Path(bag).stem}{file.suffix}")


def _blueprint(rerun: Any) -> Any:
    """The four pictures side by side, and the mean IoU of each frame below them."""
    views = rerun.blueprint
    pictures = [views.Spatial2DView(origin=name, name=name) for name in ("input", "labels", "truth", "confidence")]
    curve = views.TimeSeriesView(origin="mean_iou", name="mean IoU of the frame")
    return views.Blueprint(views.Vertical(views.Grid(*pictures), curve, row_shares=[3, 1]), collapse_panels=True)


def _import_rerun() -> Any:
    try:
        import rerun
        import rerun.blueprint
    except ImportError as error:
        raise MissingDependencyError(
            "--rerun needs the package rerun-sdk", got=error, do="run: pip install 'madm_ros[viz]'"
        ) from error
    return rerun
