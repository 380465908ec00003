"""One run of the StreetWorld experiments: its data, its configuration, its training and its score.

Used by ``streetworld.py`` (the table), ``streetworld_quick.py`` (one number against another) and
``demo/train_models.py`` (the models that ship).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.streetworld_scoring import MODALITIES, ScoredRunner, true_labels
from madm_core.adaptation.method import Method, method_of
from madm_core.adaptation.run_directory import RunDirectory
from madm_core.adaptation.trainer import Trainer
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.config import from_mapping
from madm_core.streetworld.dataset import street_frames
from madm_core.streetworld.folder import FolderWriter

logger = logging.getLogger(__name__)

ALL_SENSORS = ("rgb", "depth", "thermal", "event")
FRAME_SIZE = (128, 256)
"""Pixels of the sensors, and of the labels that are scored."""
BATCH_SIZE = 2
"""Pictures of each kind a step, in every run."""
_START_NS = 1_700_000_000_000_000_000


@dataclasses.dataclass(frozen=True)
class Setting:
    """How large an experiment is. No two sets share a street, and nothing is ever tuned on the test streets.

    Args:
        frames: Number of frames of each of :data:`STREETS`.
        conditions: Light and weather of all of them, see :data:`madm_core.streetworld.conditions.CONDITIONS`; None
            draws them anew for each street.
        steps: Optimisation steps of a run, of :data:`BATCH_SIZE` pictures of each kind.
        work: Folder of its data and runs.
        results: File with a line for each of its finished runs.
        image_size: Pixels of the network, (height, width): whole frames, made smaller.
    """

    frames: Mapping[str, int]
    conditions: str | None
    steps: int
    work: Path
    results: Path
    image_size: tuple[int, int] = (64, 128)


STREETS = {"source": 10, "validation": 11, "target": 12, "test": 13}
"""Seed of each set."""
_RESULTS = Path(__file__).resolve().parent / "streetworld"
SMALL = Setting(
    {"source": 320, "target": 160, "test": 40}, "day", 400, Path("runs/streetworld-small"), _RESULTS / "results.jsonl"
)
"""The table's: small enough for several seeds on a CPU."""
LARGE = Setting(
    {"source": 720, "validation": 48, "target": 400, "test": 40}, None, 1000, Path("runs/streetworld"),
    _RESULTS / "results_large.jsonl",
)  # fmt: skip
"""The demo's models come from this one."""
SETTINGS = {"small": SMALL, "large": LARGE}


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of the table.

    Args:
        title: What it is, in the table.
        method: Switches on top of the recipe and of :data:`SMALL_SCALE`.
        recipe: ``madm`` or ``reference``.
        source: ``rgb``; ``target`` trains on the target's own sensor with its labels (the oracle).
        base: ``pretrained``, ``random`` (same autoencoder, untrained UNet) or ``photo`` (pretrained on photos alone).
        of_modality: Switches that one modality sets otherwise.
        steps: Factor on the number of steps.
    """

    title: str
    method: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: str = "madm"
    source: str = "rgb"
    base: str = "pretrained"
    of_modality: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    steps: float = 1.0

    @property
    def sees_target(self) -> bool:
        """Whether the training depends on the modality."""
        return self.source == "target" or self.method.get("target_loss_weight", 1.0) > 0


@dataclasses.dataclass(frozen=True)
class Run:
    """A variant on a modality with a seed; ``modality`` is ``rgb`` where the training does not see the target."""

    name: str
    variant: Variant
    modality: str
    seed: int
    setting: Setting

    @property
    def steps(self) -> int:
        """Optimisation steps."""
        return round(self.setting.steps * self.variant.steps)


SMALL_SCALE: dict[str, Any] = {
    "learning_rate": 5.0e-4,
    "new_layer_learning_rate": 2.0e-3,
    "ema_limit": 0.98,
    "rare_class_min_pixels": 100,
    "rare_class_min_crop_pixels": 50,
}
"""What a network of 6 million parameters and some hundred steps needs in any recipe: the published rates (5e-6) would
not move it, and the published counts of pixels are those of 512 x 512 pictures."""


def make_streets(
    folder: Path, seed: int, count: int, conditions: str | None, sensors: Sequence[str] = ALL_SENSORS
) -> Path:
    """A StreetWorld folder of independent frames of many streets; left alone when it holds just these."""
    description = {
        "seed": seed, "frames": count, "conditions": conditions or "any", "sensors": list(sensors), "window_ms": 125.0
    }  # fmt: skip
    card = folder / "streetworld.json"
    made = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    if made.items() >= description.items() and len(list((folder / "labels").glob("*.png"))) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    writer = FolderWriter(folder, description)
    frames = street_frames(seed, count, FRAME_SIZE, sensors, conditions=conditions, window_ms=125.0, event_steps=2)
    for index, instant in enumerate(frames):
        writer.add(instant, _START_NS + index * 1_000_000_000)
    return folder


def configuration(run: Run, work: Path, bases: Mapping[str, Path]) -> TrainingConfig:
    """The configuration of a run, for ``train_adapt`` as well."""
    variant = run.variant
    sensor = "depth" if run.modality == "rgb" else run.modality  # unseen where the training ignores the target
    image_size = list(run.setting.image_size)
    frames = {"kind": "streetworld", "resize": image_size}
    target = {**frames, "root": str(work / "data" / "target"), "sensor": sensor}
    source = {**frames, "root": str(work / "data" / "source"), "sensor": "rgb"}
    method = {**SMALL_SCALE, **variant.method, **variant.of_modality.get(run.modality, {})}
    return from_mapping(
        TrainingConfig,
        {
            "output": str(work / "runs" / run.name),
            "base": str(bases[variant.base]),
            "modality": MODALITIES[sensor],
            "image_size": image_size,
            "architecture": {
                "projection_channels": [32, 64, 64, 64],
                "projection_bottleneck": 32,
                "embedding_channels": 8,
                "head_channels": 16,
            },
            "source": target if variant.source == "target" else source,
            "target": {**target, "use_labels": False},
            "recipe": variant.recipe,
            "method": method,
            "max_steps": run.steps,
            "batch_size": BATCH_SIZE,
            "engine": {"device": "cpu", "workers": 0, "gradient_checkpointing": False, "channels_last": True},
            "log_every": 10,
            "preview_every": 0,
            "validate_every": 0,
            "checkpoint_every": shared_steps(method_of(variant.recipe, method), run.steps) or max(1, run.steps // 2),
            "cache": str(work / "cache"),
            "seed": run.seed,
        },
    )


def shared_steps(method: Method, steps: int) -> int:
    """After how many steps a run leaves a checkpoint for others: where pseudo-labels begin. Runs without them leave it
    half-way, where the self-training of the table begins."""
    return steps // 2 if method.source_only_fraction == 1 else method.first_adapting_step(steps)


def train(run: Run, work: Path, bases: Mapping[str, Path]) -> tuple[Path, dict[str, Any]]:
    """Trains a run, or goes on with it; returns its model directory and what was measured on the way.

    The first part of a run, without pseudo-labels, is the same computation for every run with the same source, seed
    and source-side switches, to the last bit: every random draw comes from the seed and the batch's number. It is done
    once and its checkpoint handed on (see :func:`warm_up_key`); its seconds count for every run that uses it.
    """
    config = configuration(run, work, bases)
    directory = RunDirectory(config.output)
    measured_file = config.output / "measured.json"
    if measured_file.is_file():
        return directory.model, json.loads(measured_file.read_text())
    seconds_file = config.output / "seconds.json"
    shared = work / "warm_ups" / warm_up_key(config)
    common = shared_steps(config.resolved_method, config.max_steps)
    if common and shared.is_dir() and not directory.config_file.exists():
        shutil.copytree(shared / "checkpoint", directory.checkpoints / f"step_{common:06d}")
        shutil.copy(shared / "seconds.json", seconds_file)
        directory.write_config(config)
    trainer = Trainer(config, resume=directory.config_file.exists(), progress=False)
    known = json.loads(seconds_file.read_text()) if seconds_file.exists() else {}
    curve: list[dict[str, float]] = []

    def note(step: int, seconds: float) -> None:
        if step == common:
            known[str(step)] = seconds
            seconds_file.write_text(json.dumps(known))

    scored = ScoredRunner(
        trainer.runner, true_labels(trainer, config), curve, note, seconds=known.get(str(trainer.step), 0.0)
    )
    trainer.runner = scored  # type: ignore[assignment]
    result = trainer.run()
    if not result.finished or result.model is None:
        raise KeyboardInterrupt
    checkpoint = directory.checkpoints / f"step_{common:06d}"
    if common and checkpoint.is_dir() and not shared.exists():
        shutil.copytree(checkpoint, shared / "checkpoint")
        shutil.copy(seconds_file, shared / "seconds.json")
    shutil.rmtree(directory.checkpoints)
    measured = {"cpu_seconds": round(scored.seconds, 1), "steps": result.step, "curve": curve}
    measured_file.write_text(json.dumps(measured))
    return result.model, measured


def warm_up_key(config: TrainingConfig) -> str:
    """Equal for runs whose steps without pseudo-labels are the same computation.

    Left out is only what neither acts nor draws random numbers in those steps: the target, the teacher's noise,
    threshold and mode, and how mixed pictures are made and weighted.
    """
    method = dataclasses.asdict(config.resolved_method)
    for name in (
        "noise_start", "noise_end_step", "noise_end_fraction", "confidence_threshold", "target_loss_weight",
        "target_regression_weight", "source_only_fraction", "regression_pixel_weight", "color_jitter",
        "mix_classes_from", "mix_ignored", "teacher_dropout", "teacher_batch_statistics",
        "pseudo_labels_on_invalid",
    ):  # fmt: skip
        del method[name]
    common = shared_steps(config.resolved_method, config.max_steps)
    same = (method, config.base, config.source, config.image_size, config.architecture, config.max_steps, config.seed)
    return hashlib.sha256(json.dumps([*same, config.batch_size, common], default=str).encode()).hexdigest()[:16]
