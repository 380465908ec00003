"""A distillation run: teacher's predictions, steps, validations, checkpoints, and a student's model directory."""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from madm_core.adaptation.batches import load_batches
from madm_core.adaptation.checkpoint import Checkpoint, load_newest, prune, save_checkpoint
from madm_core.adaptation.draws import derive_seed
from madm_core.adaptation.optimizer import make_optimizer, parameter_groups, set_learning_rate
from madm_core.adaptation.progress import Progress, memory_gb
from madm_core.adaptation.run_directory import RunDirectory, resume_advice
from madm_core.adaptation.running_statistics import RunningStatistics
from madm_core.data.frames import Frames
from madm_core.data.input_measurement import measure_frames
from madm_core.data.samples import SampleNumbers
from madm_core.data.sources import open_frames
from madm_core.errors import CheckpointError, ConfigError, DataError, WorkError
from madm_core.interruption import AFTER_STEP, Interruption
from madm_core.model.directory_format import read_description
from madm_core.model_directory import find_model_directory
from madm_core.segmenter import Segmenter
from madm_core.student.architecture import STRIDE, StudentArchitecture
from madm_core.student.distillation_config import DistillationConfig
from madm_core.student.losses import distillation_loss
from madm_core.student.network import StudentNetwork
from madm_core.student.predictions import TeacherPredictions
from madm_core.student.samples import DistillationSample, DistillationSamples
from madm_core.student.scoring import Comparison, compare, score
from madm_core.student.student_directory import save_student_directory, start_from

logger = logging.getLogger(__name__)

_BAD_STEPS_LIMIT = 10


@dataclass(frozen=True)
class DistillationResult:
    """How a run ended.

    Args:
        step: Finished steps.
        finished: False when it was interrupted and can be resumed.
        model: The student's model directory, of a finished run.
        comparison: Teacher and student over the validation frames, of a finished run.
    """

    step: int
    finished: bool
    model: Path | None = None
    comparison: Comparison | None = None


class Distillation:
    """One run.

    Args:
        config: Its configuration.
        resume: Go on from the newest intact checkpoint.
        progress: Show progress bars.

    Raises:
        MadmError: Configuration, teacher or frames cannot be used.
    """

    def __init__(self, config: DistillationConfig, *, resume: bool = False, progress: bool = True) -> None:
        self.config = config
        self.directory = RunDirectory(config.output)
        if resume:
            advice = "restore it, or start another run with output=DIRECTORY"
            self.directory.check_unchanged(config, allow_change=False, do=advice)
        teacher_directory = find_model_directory(config.teacher)
        self._teacher_description = read_description(teacher_directory)
        self.teacher = Segmenter.from_pretrained(teacher_directory, device=config.device, base=config.teacher_base)
        self.device = self.teacher.device
        self.image_size = config.image_size or self.teacher.image_size
        if any(side % STRIDE for side in self.image_size):
            raise ConfigError(
                "the student cannot take the teacher's image size",
                got=self.image_size,
                expected=f"multiples of {STRIDE}",
                do="give image_size=[height, width]",
            )
        self.frames = self._open(config.frames, "frames", progress)
        self.validation = None
        if config.validation is not None:
            self.validation = self._open(config.validation, "validation", progress)
            if not self.validation.labelled:
                raise DataError("the validation data have no labels", got=self.validation.name, do="leave it out")
        self.student = self._make_student()
        groups = parameter_groups({"student": self.student}, {"student": config.learning_rate}, config.weight_decay)
        self.optimizer = make_optimizer(groups, "adamw", (0.9, 0.999), device=self.device)
        self._statistics = RunningStatistics(self.student)
        self.step = 0
        self.counters: dict[str, int] = {"skipped_steps": 0, "bad_in_a_row": 0}
        self._saved_step: int | None = None
        if resume:
            self._restore()
            self.directory.write_config(config)
            self.directory.forget_after(self.step)
        else:
            self.directory.start(config)
        identity = json.dumps([self._teacher_description, self.teacher.precision], sort_keys=True)
        self.predictions = TeacherPredictions(identity, self.frames, config.cache.expanduser())
        self._progress_bars = progress

    def run(self) -> DistillationResult:
        """Trains to the end, or until SIGTERM or Ctrl-C.

        Raises:
            DataError: The teacher's predictions cannot be made.
            WorkError: Ten steps in a row were not finite.
            CheckpointError: A checkpoint cannot be written.
        """
        config = self.config
        asked = self.predictions.prepare(self.teacher, progress=self._progress_bars)
        logger.info("teacher: %d frames predicted, %d from the cache", asked, len(self.frames) - asked)
        progress = Progress(self.directory.tensorboard, self.step, config.max_steps)
        try:
            with Interruption(AFTER_STEP) as interruption:
                for batch in self._batches():
                    self._train_step(batch, progress)
                    if interruption.requested:
                        self._save()
                        advice = resume_advice(config.output, "distill")
                        logger.warning("stopped after step %d; go on with: %s", self.step, advice)
                        return DistillationResult(self.step, False)
                self._save()
                return self._finish()
        finally:
            progress.close()

    def learning_rate_factor(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to 0."""
        warmup = max(1, round(self.config.warmup_fraction * self.config.max_steps))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.config.max_steps - warmup)))

    def _open(self, fields: dict[str, Any], where: str, progress: bool) -> Frames:
        teacher = self.teacher
        return open_frames(
            fields,
            label_set=teacher.label_set,
            modality=teacher.modality,
            cache=self.config.cache.expanduser(),
            where=where,
            progress=progress,
        )

    def _make_student(self) -> StudentNetwork:
        torch.manual_seed(derive_seed(self.config.seed, "weights"))
        architecture = StudentArchitecture.of_size(self.config.size, len(self.teacher.label_set))
        if self.config.initial is not None:
            student = start_from(self.config.initial, architecture)
        else:
            student = StudentNetwork.random(architecture)
        return student.to(self.device).train()

    def _batches(self) -> Iterator[DistillationSample]:
        config = self.config
        samples = DistillationSamples(
            self.frames,
            self.predictions,
            image_size=self.image_size,
            seed=config.seed,
            crop_scale=config.crop_scale,
            flip=config.flip,
        )
        numbers = SampleNumbers(self.step, config.max_steps - self.step, config.batch_size, 0, 1)
        return load_batches(samples, numbers, workers=config.workers, device=self.device)

    def _train_step(self, batch: DistillationSample, progress: Progress) -> None:
        config = self.config
        torch.manual_seed(derive_seed(config.seed, "step", self.step))  # dropout: the same after a resume
        set_learning_rate(self.optimizer, self.learning_rate_factor(self.step))
        image = batch.image.to(self.device, non_blocking=True).float() / 255
        target = batch.log_probabilities.to(self.device, non_blocking=True)
        statistics = self._statistics.copy()
        loss = distillation_loss(
            self.student(image), target, temperature=config.temperature, confidence_power=config.confidence_power
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = clip_grad_norm_(self.student.parameters(), config.clip_norm)
        numbers = {"loss": loss.item(), "grad_norm": norm.item()}
        usable = math.isfinite(numbers["loss"]) and math.isfinite(numbers["grad_norm"])
        if usable:
            self.optimizer.step()
            self.counters["bad_in_a_row"] = 0
        self.step += 1
        if not usable:
            self._statistics.put_back(statistics)
            self._note_bad_step()
        numbers |= {
            "learning_rate": config.learning_rate * self.learning_rate_factor(self.step - 1),
            "skipped_steps": float(self.counters["skipped_steps"]),
            "memory_gb": memory_gb(self.device),
        }
        if self.validation is not None and _due(config.validate_every, self.step) and self.step < config.max_steps:
            found = score(self._deployed(), self.validation, limit=config.validation_frames)
            numbers |= {"mean_iou": found.mean_iou, "pixel_accuracy": found.pixel_accuracy}
        progress.step_done()
        if _due(config.log_every, self.step) or "mean_iou" in numbers or self.step == config.max_steps:
            self.directory.log(self.step, numbers)
            progress.show(self.step, numbers)
        if _due(config.checkpoint_every, self.step):
            self._save()

    def _note_bad_step(self) -> None:
        self.counters["skipped_steps"] += 1
        self.counters["bad_in_a_row"] += 1
        logger.warning("step %d gave numbers that are not finite and was skipped", self.step)
        if self.counters["bad_in_a_row"] >= _BAD_STEPS_LIMIT:
            raise WorkError(
                f"{_BAD_STEPS_LIMIT} steps in a row gave numbers that are not finite; the run stops",
                do="start another run with a lower learning_rate",
            )

    def _deployed(self) -> Segmenter:
        """The student as it will run, made of a copy."""
        teacher = self.teacher
        network = copy.deepcopy(self.student)
        return Segmenter(
            network, teacher.modality, teacher.label_set, self.image_size, device=str(self.device), name="student"
        )

    def _save(self) -> None:
        """Writes a checkpoint, unless there is one of this very step."""
        if self.step == self._saved_step:
            return
        state = {"optimizer": self.optimizer.state_dict(), "scaler": None}
        folder = self.directory.checkpoints
        save_checkpoint(folder, Checkpoint(self.step, self.student.state_dict(), state, self.counters))
        prune(folder, self.step, keep=self.config.keep_checkpoints, best=None)
        self._saved_step = self.step

    def _restore(self) -> None:
        checkpoint = load_newest(self.directory.checkpoints)
        if checkpoint is None:
            logger.warning("no checkpoint was written yet: starting from the beginning")
            return
        try:
            self.student.load_state_dict(dict(checkpoint.weights))
            self.optimizer.load_state_dict(dict(checkpoint.optimizer["optimizer"]))
            self.counters = {name: int(checkpoint.counters[name]) for name in self.counters}
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint in {self.directory.checkpoints} is of another student",
                got=str(error).splitlines()[0],
                do="start another run with output=DIRECTORY",
            ) from error
        self.step = self._saved_step = checkpoint.step
        logger.info("resumed after step %d", self.step)

    def _finish(self) -> DistillationResult:
        config = self.config
        frames = self.validation if self.validation is not None else self.frames
        found = compare(self.teacher, self._deployed(), frames, limit=config.validation_frames)
        numbers = found.numbers()
        teacher = {key: self._teacher_description.get(key) for key in ("image_size", "provenance")}
        provenance = {
            "teacher": {"path": config.teacher, "network": self._teacher_description.get("network", "madm"), **teacher},
            "frames": self.frames.name,
            "steps": self.step,
            "batch_size": config.batch_size,
            "temperature": config.temperature,
            "seed": config.seed,
            "scored_on": frames.name,
            "scores": numbers,
        }
        model = save_student_directory(
            self.directory.model,
            copy.deepcopy(self.student).cpu().eval(),
            modality=self.teacher.modality,
            label_set=self.teacher.label_set,
            image_size=self.image_size,
            provenance=provenance,
            input_statistics=measure_frames(self.frames),
        )
        self.directory.log(self.step, numbers)
        logger.info("the student is in %s", model)
        return DistillationResult(self.step, True, model, found)


def _due(every: int, step: int) -> bool:
    return every > 0 and step % every == 0
