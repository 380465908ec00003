"""The training loop: steps, logs, previews, validations, checkpoints, and a model directory at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from madm_core.adaptation import assembly
from madm_core.adaptation.batches import load_batches
from madm_core.adaptation.health import Health
from madm_core.adaptation.previews import preview, save_preview
from madm_core.adaptation.progress import Progress, memory_gb
from madm_core.adaptation.run_directory import RunDirectory, resume_advice
from madm_core.adaptation.run_state import RunState
from madm_core.adaptation.step_runner import StepReport, StepRunner
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.adaptation.validation import validate
from madm_core.data.frames import Frames
from madm_core.data.input_measurement import measure_frames
from madm_core.data.samples import Sample, SampleNumbers
from madm_core.errors import MadmError, WorkError
from madm_core.evaluation.metrics import Scores
from madm_core.interruption import AFTER_STEP, Interruption
from madm_core.model.device_errors import is_out_of_memory
from madm_core.model.stable_diffusion import load_base
from madm_core.model_directory import save_model_directory

logger = logging.getLogger(__name__)

_BAD_STEPS_LIMIT = 10


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Args:
        step: Finished steps.
        finished: False when it was interrupted and can be resumed.
        model: The model directory of a finished run.
    """

    step: int
    finished: bool
    model: Path | None = None


class Trainer:
    """One training run.

    Args:
        config: Its configuration.
        resume: Go on from the newest intact checkpoint.
        allow_config_change: Resume although the configuration has changed.
        progress: Show progress bars.

    Raises:
        MadmError: Configuration, base or data cannot be used.
    """

    def __init__(
        self, config: TrainingConfig, *, resume: bool = False, allow_config_change: bool = False, progress: bool = True
    ) -> None:
        self.config = config
        self.accelerator = assembly.make_accelerator(config.engine)
        self.launched = self.accelerator.num_processes > 1
        """Whether a launcher passes signals on, which a terminal's Ctrl-C has brought already."""
        self.directory = RunDirectory(config.output)
        self.step = 0
        self._saved_step: int | None = None
        self.counters: dict[str, Any] = {
            "skipped_steps": 0,
            "bad_in_a_row": 0,
            "best_mean_iou": None,
            "best_step": None,
        }
        self.health = Health(len(config.labels))
        if resume:
            for change in self.directory.check_unchanged(config, allow_change=allow_config_change):
                logger.warning("the configuration has changed: %s", change)
        with self.accelerator.main_process_first():
            source, target, self.validation = assembly.open_data(config, progress=progress)
            self.samples = assembly.make_samples(config, source, target, progress=progress)
        self.model = assembly.make_model(config, self.accelerator)
        optimizer = assembly.make_training_optimizer(config, self.model, self.accelerator.device)
        wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        self.state = RunState(self.directory.checkpoints, self.accelerator, self.model, self.optimizer)
        self.runner = StepRunner(config, self.accelerator, self.model, wrapped, self.optimizer)
        if resume:
            self._resume()
        if self.accelerator.is_main_process:
            if resume:
                self.directory.write_config(config)
                self.directory.forget_after(self.step)
            else:
                self.directory.start(config)
        self.accelerator.wait_for_everyone()

    def run(self) -> TrainingResult:
        """Trains to the end, or until SIGTERM or Ctrl-C.

        Raises:
            WorkError: Ten steps in a row were not finite.
            CheckpointError: A checkpoint cannot be written.
        """
        config = self.config
        main = self.accelerator.is_main_process
        progress = Progress(self.directory.tensorboard, self.step, config.max_steps) if main else None
        try:
            with Interruption(AFTER_STEP, relayed=self.launched) as interruption:
                samples = self._samples()
                while self.step < config.max_steps:
                    report = self.runner.run(self.step, samples)
                    self.step += 1
                    self._after_step(report, progress)
                    if self._anywhere(interruption.requested):
                        self._save()
                        logger.warning("stopped after step %d; go on with: %s", self.step, resume_advice(config.output))
                        result = TrainingResult(self.step, False)
                        break
                else:
                    self._save()
                    self._write_model()
                    result = TrainingResult(self.step, True, self.directory.model)
        finally:
            if progress is not None:
                progress.close()
        # Not after an error: the others wait for this process elsewhere, and only its end has the launcher end them.
        self.accelerator.wait_for_everyone()
        return result

    def _samples(self) -> Iterator[Sample]:
        engine, accelerator = self.config.engine, self.accelerator
        numbers = SampleNumbers(
            self.step * engine.accumulate,
            (self.config.max_steps - self.step) * engine.accumulate,
            self.config.batch_size,
            accelerator.process_index,
            accelerator.num_processes,
        )
        return load_batches(self.samples, numbers, workers=engine.workers, device=accelerator.device)

    def _after_step(self, report: StepReport, progress: Progress | None) -> None:
        config, step = self.config, self.step
        numbers = dict(report.numbers)
        if report.usable:
            self.counters["bad_in_a_row"] = 0
        else:
            self._note_bad_step(report)
        pseudo = report.mixed.pseudo if report.mixed is not None else None
        if pseudo is not None and report.usable:
            numbers |= self.health.update(pseudo.labels, pseudo.confidence)
            warning = self.health.warning(config.labels)
            if warning and progress is not None:
                logger.warning("%s", warning)
        numbers |= {
            "skipped_steps": float(self.counters["skipped_steps"]),
            "memory_gb": memory_gb(self.accelerator.device),
        }
        best = _due(config.validate_every, step, config.max_steps) and self._validate(numbers)
        if progress is not None:
            progress.step_done()
            if _due(config.log_every, step, config.max_steps) or "mean_iou" in numbers:
                self.directory.log(step, numbers)
                progress.show(step, numbers)
            if _due(config.preview_every, step, config.max_steps):
                sheet = preview(report.batch, report.source, report.mixed, config.labels)
                save_preview(self.directory.previews / f"step_{step:06d}.png", sheet)
                progress.picture(step, sheet)
        if best or (config.checkpoint_every and step % config.checkpoint_every == 0):
            self._save()

    def _note_bad_step(self, report: StepReport) -> None:
        self.counters["skipped_steps"] += 1
        self.counters["bad_in_a_row"] += 1
        logger.warning("step %d gave numbers that are not finite and was skipped", self.step)
        if report.own_fault:
            folder = self.directory.bad_batches
            folder.mkdir(parents=True, exist_ok=True)
            stem = f"step_{self.step:06d}_process_{self.accelerator.process_index}"
            tensors = {
                "source_image": report.batch.source_image,
                "source_labels": report.batch.source_labels,
                "target_image": report.batch.target_image,
            }
            if report.batch.target_valid is not None:
                tensors["target_valid"] = report.batch.target_valid
            save_file(
                {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, folder / f"{stem}.safetensors"
            )
            text = json.dumps({name: str(value) for name, value in report.numbers.items()}, indent=2)
            (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
        if self.counters["bad_in_a_row"] >= _BAD_STEPS_LIMIT:
            raise WorkError(
                f"{_BAD_STEPS_LIMIT} steps in a row gave numbers that are not finite; the run stops",
                got=f"batches in {self.directory.bad_batches}",
                do="lower the learning rates, use engine.mixed_precision=bf16 or no, and run check_data; then go on "
                "from the last checkpoint with --resume --allow-config-change",
            )

    def _validate(self, numbers: dict[str, float]) -> bool:
        """Adds the scores to ``numbers``; True when they are the best so far."""
        if self.validation is None:
            return False
        best = False
        found = self._scores(self.validation) if self.accelerator.is_main_process else None
        if found is not None:
            numbers |= {"mean_iou": found.mean_iou, "pixel_accuracy": found.pixel_accuracy}
            names = self.config.labels.names
            numbers |= {f"iou/{name}": float(value) for name, value in zip(names, found.iou, strict=True)}
            record = self.counters["best_mean_iou"]
            if record is None or found.mean_iou > record:
                best = True
                self.counters |= {"best_mean_iou": found.mean_iou, "best_step": self.step}
        return self._anywhere(best)

    def _scores(self, frames: Frames) -> Scores | None:
        """Scores of the network as it is; None, with an error in the log, when there are none to be had."""
        try:
            # accelerate has put the forward pass of the whole model into mixed precision; this runs a part of it.
            with self.accelerator.autocast():
                return validate(
                    self.model.deployed_network(),
                    frames,
                    image_size=self.config.image_size,
                    classes=len(self.config.labels),
                    limit=self.config.validation_frames,
                    device=self.accelerator.device,
                )
        except Exception as error:
            if not isinstance(error, MadmError) and not is_out_of_memory(error):
                raise
            logger.error(
                "the validation after step %d failed; the training goes on without this score: %s", self.step, error
            )
        finally:
            self.model.train()
        # Not before the error is gone, which holds the tensors of the frame that failed.
        torch.cuda.empty_cache()
        return None

    def _save(self) -> None:
        """Writes a checkpoint, unless there is one of this very step."""
        if self.step == self._saved_step:
            return
        counters = {**self.counters, "health": self.health.state()}
        self.state.save(self.step, counters, keep=self.config.keep_checkpoints, best=self.counters["best_step"])
        self._saved_step = self.step

    def _resume(self) -> None:
        found = self.state.restore()
        if found is None:
            logger.warning("no checkpoint was written yet: starting from the beginning")
            return
        self.step, counters = found
        self._saved_step = self.step
        self.health = Health.from_state(counters["health"])
        self.counters = {name: counters[name] for name in self.counters}
        logger.info("resumed after step %d", self.step)

    def _write_model(self) -> None:
        if not self.accelerator.is_main_process:
            return
        config = self.config
        network = self.model.deployed_network()
        if network.backbone.vae.dtype != torch.float32:
            network.backbone.vae = load_base(config.base).vae
        provenance = {
            "recipe": config.recipe,
            "method": json.loads(json.dumps(config.method)),
            "steps": self.step,
            "seed": config.seed,
            "source": self.samples.source.name,
            "target": self.samples.target.name,
            "best_mean_iou": self.counters["best_mean_iou"],
        }
        save_model_directory(
            self.directory.model,
            network,
            modality=config.make_modality(),
            label_set=config.labels,
            image_size=config.image_size,
            base_reference=None if config.embed_base else config.base,
            provenance=provenance,
            input_statistics=measure_frames(self.samples.target),
        )
        logger.info("the model is in %s", self.directory.model)

    def _anywhere(self, flag: bool) -> bool:
        """Whether ``flag`` is set on any process."""
        tensor = torch.tensor([1.0 if flag else 0.0], device=self.accelerator.device)
        return bool(self.accelerator.reduce(tensor, "sum").item() > 0)


def _due(every: int, step: int, max_steps: int) -> bool:
    return every > 0 and (step % every == 0 or step == max_steps)
