"""What the StreetWorld experiments measure: the seconds and pseudo-labels of a training, the score of its model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from madm_core.adaptation.step_runner import StepReport, StepRunner
from madm_core.adaptation.trainer import Trainer
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.data.crops import Picture, resize_labels
from madm_core.data.frames import FrameFiles, Frames, read_label_file
from madm_core.data.samples import Sample, TrainingSamples
from madm_core.data.sources import open_frames
from madm_core.evaluation.metrics import Matrix, confusion_matrix, scores
from madm_core.labels import IGNORE, MADM11
from madm_core.modalities import modality_from_dict
from madm_core.model_directory import load_model_directory
from madm_core.segmenter import Segmenter

MODALITIES: dict[str, dict[str, Any]] = {
    "depth": {"name": "depth", "min_depth_m": 1.0, "max_depth_m": 80.0},
    "thermal": {"name": "thermal"},
    "event": {"name": "event", "window_ms": 125.0},
}
CATEGORIES: dict[str, tuple[str, ...]] = {
    "sky": ("sky",),
    "building": ("building", "fence", "wall"),
    "post": ("pole", "traffic sign"),
    "person": ("person",),
    "road": ("road",),
    "sidewalk": ("sidewalk",),
    "vegetation": ("vegetation",),
    "car": ("car",),
}
"""The eleven classes with those merged that look alike where eight pixels are one latent cell."""


class ScoredRunner:
    """Runs the trainer's steps, takes their time, and compares pseudo-labels with the truth, which the trainer never
    gets to see.

    Args:
        runner: What it stands in for.
        truth: The run's samples with label pictures for targets; None where nothing is compared.
        curve: Gets an entry every fifth step.
        note: Called after each step with the number of finished steps and the CPU seconds so far.
        seconds: CPU seconds of the steps before.
    """

    def __init__(
        self,
        runner: StepRunner,
        truth: TrainingSamples | None,
        curve: list[dict[str, float]],
        note: Callable[[int, float], None],
        *,
        seconds: float,
    ) -> None:
        self.runner = runner
        self.truth = truth
        self.curve = curve
        self.note = note
        self.seconds = seconds

    def run(self, step: int, samples: Iterator[Sample]) -> StepReport:
        began = time.process_time()
        report = self.runner.run(step, samples)
        self.seconds += time.process_time() - began
        self.note(step + 1, self.seconds)
        if report.mixed is not None and report.mixed.pseudo is not None and self.truth is not None and step % 5 == 0:
            pseudo = report.mixed.pseudo
            labels = pseudo.labels.numpy()
            first = step * len(labels)
            true = np.stack([self.truth[first + index].target_image[0].numpy() for index in range(len(labels))])
            right, known = labels == true, (true != IGNORE) & (labels != IGNORE)  # 255: nothing was measured there
            sure = (pseudo.confidence.numpy() >= self.runner.method.confidence_threshold) & known
            self.curve.append(
                {
                    "step": step,
                    "accuracy": round(float(right[known].mean()), 4),
                    "sure_accuracy": round(float(right[sure].mean()), 4) if sure.any() else float("nan"),
                    "sure": round(float(sure.mean()), 4),
                }
            )
        return report


def true_labels(trainer: Trainer, config: TrainingConfig) -> TrainingSamples | None:
    """The run's samples with the label picture in the place of the target's: same frame, same window, same mirroring,
    as all of that follows from the seed and the sample's number."""
    if not config.resolved_method.adapts(config.max_steps, config.max_steps):
        return None
    samples = trainer.samples
    target = samples.target
    root = Path(config.target["root"])
    labels = [FrameFiles(root / "labels" / f"{frame.image.stem}.png") for frame in target.files]
    # Resized here and not as a picture, which would blend the numbers of neighbouring classes.
    truth = Frames("labels", labels, resize=target.resize, read_image=partial(_labels_of_size, size=target.resize))
    return TrainingSamples(
        samples.source, truth, image_size=samples.image_size, seed=samples.seed, rare_classes=samples.rare_classes,
        min_crop_pixels=samples.min_crop_pixels,
    )  # fmt: skip


def _labels_of_size(path: Path, size: tuple[int, int] | None) -> Picture:
    labels = read_label_file(path)
    return labels if size is None else resize_labels(labels, size)


class FixedPicture:
    """What a network is worth that does not look: it always answers with each pixel's most frequent class.

    Args:
        folder: StreetWorld folder whose labels are counted.
    """

    def __init__(self, folder: Path) -> None:
        labels = np.stack([read_label_file(path) for path in sorted((folder / "labels").glob("*.png"))])
        counts = np.stack([(labels == class_id).sum(0) for class_id in MADM11.ids])
        self.labels = counts.argmax(0).astype(np.uint8)

    def segment(self, image: object) -> FixedPicture:
        """The answer, whatever the picture is."""
        return self


def evaluate(model: Path | Segmenter | FixedPicture, modality: str, folder: Path) -> tuple[Matrix, Matrix]:
    """Scores a model at the sensor's size (the ``native`` protocol).

    Args:
        model: A model directory, what was loaded from one, or what does without.
        modality: Which sensor's frames; ``rgb`` scores the source's own.
        folder: StreetWorld folder.

    Returns:
        Confusion matrices, (11, 12), of what the node would publish, where pixels without a measurement have no label
        and count as misses; and with a label for every pixel.
    """
    if isinstance(model, Path):
        loaded = load_model_directory(model)
        model = Segmenter(loaded.network, loaded.modality, loaded.label_set, loaded.image_size, device="cpu")
    sensor = None if modality == "rgb" else modality_from_dict(MODALITIES[modality])
    frames = open_frames(
        {"kind": "streetworld", "root": str(folder), "sensor": modality}, label_set=MADM11, modality=sensor,
        where="test", cache=folder, progress=False,
    )  # fmt: skip
    matrices = np.zeros((2, len(MADM11), len(MADM11) + 1), np.int64)
    for index, files in enumerate(frames.files):
        raw, truth = frames.read_image(files.image), frames.labels(index)
        valid = None
        if sensor is not None:
            sensor.reset()
            encoded = sensor.encode(raw)
            raw, valid = encoded.image, encoded.valid
        labels = model.segment(raw).labels
        matrices[1] += confusion_matrix(labels, truth, len(MADM11))
        if valid is not None:
            labels = np.where(valid, labels, np.uint8(IGNORE))
        matrices[0] += confusion_matrix(labels, truth, len(MADM11))
    return matrices[0], matrices[1]


def summary(matrix: Matrix) -> dict[str, Any]:
    """What a result line keeps of a confusion matrix of MADM11, in percent; ``categories`` is the mean of those."""
    found = scores(matrix)
    classes = {name: None if np.isnan(iou) else round(100 * float(iou), 2) for name, iou in zip(
        MADM11.names, found.iou, strict=True)}  # fmt: skip
    return {
        "mean_iou": round(100 * found.mean_iou, 2),
        "pixel_accuracy": round(100 * found.pixel_accuracy, 2),
        "categories": round(100 * scores(merged(matrix)).mean_iou, 2),
        "iou": classes,
    }


def merged(matrix: Matrix) -> Matrix:
    """An (11, 12) confusion matrix of MADM11 (the last column: no label) as the (8, 9) one of :data:`CATEGORIES`."""
    groups = np.array([[name in names for name in MADM11.names] for names in CATEGORIES.values()], np.int64)
    columns = np.pad(groups, ((0, 1), (0, 1)))
    columns[-1, -1] = 1
    return np.asarray(groups @ matrix @ columns.T)
