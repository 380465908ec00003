"""How good a student is: against the ground truth beside its teacher, and against the teacher itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from madm_core.data.crops import Picture
from madm_core.data.frames import Frames
from madm_core.errors import DataError
from madm_core.evaluation.metrics import Scores, confusion_matrix, scores
from madm_core.segmenter import Segmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Scores of teacher and student over the same frames.

    Args:
        frames: Number of frames.
        teacher: The teacher against the ground truth; None for unlabelled frames.
        student: The student against the ground truth; None for unlabelled frames.
        agreement: Share of the pixels where both say the same.
        mean_iou_to_teacher: The student's mean IoU when the teacher's labels are taken for the truth.
    """

    frames: int
    teacher: Scores | None
    student: Scores | None
    agreement: float
    mean_iou_to_teacher: float

    def numbers(self) -> dict[str, float]:
        """For logs and provenance."""
        found = {
            "frames": float(self.frames),
            "agreement": self.agreement,
            "mean_iou_to_teacher": self.mean_iou_to_teacher,
        }
        if self.teacher is not None and self.student is not None:
            found |= {"teacher_mean_iou": self.teacher.mean_iou, "mean_iou": self.student.mean_iou}
            found |= {
                "teacher_pixel_accuracy": self.teacher.pixel_accuracy,
                "pixel_accuracy": self.student.pixel_accuracy,
            }
        return found


def score(student: Segmenter, frames: Frames, *, limit: int = 0) -> Scores:
    """Scores a student alone against the ground truth; as :func:`compare`, in a fraction of the time."""
    classes = len(student.label_set)
    matrix = np.zeros((classes, classes + 1), np.int64)
    for image, truth in _readable(frames, limit):
        assert truth is not None, "frames for scores are labelled"
        matrix += confusion_matrix(student.segment(image).labels, truth, classes)
    return scores(matrix)


def compare(teacher: Segmenter, student: Segmenter, frames: Frames, *, limit: int = 0) -> Comparison:
    """Runs both over the frames at the frames' own resolution; unreadable frames are left out with a warning.

    Args:
        teacher: The teacher.
        student: The student, with the same label set.
        frames: Labelled or unlabelled frames.
        limit: Look at so many frames, spread evenly; 0 = all.

    Raises:
        DataError: No frame can be read.
    """
    classes = len(teacher.label_set)
    matrices = {name: np.zeros((classes, classes + 1), np.int64) for name in ("teacher", "student", "both")}
    seen = 0
    for image, truth in _readable(frames, limit):
        seen += 1
        wanted, found = teacher.segment(image).labels, student.segment(image).labels
        matrices["both"] += confusion_matrix(found, wanted, classes)
        if truth is not None:
            matrices["teacher"] += confusion_matrix(wanted, truth, classes)
            matrices["student"] += confusion_matrix(found, truth, classes)
    both = scores(matrices["both"])
    labelled = bool(matrices["student"].any())
    return Comparison(
        seen,
        scores(matrices["teacher"]) if labelled else None,
        scores(matrices["student"]) if labelled else None,
        both.pixel_accuracy,
        both.mean_iou,
    )


def _readable(frames: Frames, limit: int) -> Iterator[tuple[Picture, Picture | None]]:
    """Pictures with their labels, or None for unlabelled frames."""
    count = len(frames) if limit == 0 else min(limit, len(frames))
    seen = 0
    for index in np.linspace(0, len(frames) - 1, count).round().astype(int).tolist():
        try:
            if frames.labelled:
                image, labels = frames.labelled_image(index)
                truth = frames.to_label_set(labels)
            else:
                image, truth = frames.image(index), None
        except DataError as error:
            logger.warning("a frame is left out: %s", error)
            continue
        seen += 1
        yield image, truth
    if not seen:
        raise DataError(f"no frame of {frames.name} can be read", do="run check_data on these frames")
