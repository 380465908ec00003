"""Trains the demo's three models: one command, every seed fixed.

    train_street_base --output runs/madm-street-base diffusion.steps=0     # the autoencoder, half an hour
    python demo/train_models.py --base runs/madm-street-base               # the three models

These models are trained WITH the labels of the sensor that they are for, on synthetic streets. They show the node at
work and are no example of the method, which needs no such labels.
"""

from __future__ import annotations

import argparse
import logging
import shutil
from pathlib import Path

import torch

from madm_core.adaptation.trainer import Trainer
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.config import from_mapping
from madm_core.model_directory import load_model_directory, save_model_directory
from madm_core.streetworld.dataset import street_frames
from madm_core.streetworld.folder import FolderWriter

HERE = Path(__file__).resolve().parent
MODALITIES = {
    "depth": {"name": "depth", "min_depth_m": 1.0, "max_depth_m": 80.0},
    "thermal": {"name": "thermal"},
    "event": {"name": "event", "window_ms": 125.0},
}
TRAIN_SEED, VALIDATION_SEED = 10, 11
"""Of the streets; the demo itself drives along another one."""


def main() -> None:
    """Makes the data where it is missing, then trains one model a modality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="directory that train_street_base wrote")
    parser.add_argument("--work", type=Path, default=Path("runs/demo"), help="folder of data and runs")
    parser.add_argument("--output", type=Path, default=HERE / "models")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--frames", type=int, default=720)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--modality", nargs="+", choices=list(MODALITIES), default=list(MODALITIES))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    train = make_streets(arguments.work / "train", TRAIN_SEED, arguments.frames)
    validation = make_streets(arguments.work / "validation", VALIDATION_SEED, 48)
    for name in arguments.modality:
        run = arguments.work / name
        trainer = Trainer(training_config(name, arguments, train, validation), resume=run.is_dir())
        result = trainer.run()
        if not result.finished:
            return
        target = ship(result.model, arguments.output / f"street-{name}", name, arguments)
        print(f"{target} is ready")


def ship(trained: Path, target: Path, name: str, arguments: argparse.Namespace) -> Path:
    """Writes the model in half precision, with a description that any reader understands."""
    model = load_model_directory(trained)
    summary = f"trained with {name} labels on {arguments.frames} synthetic frames, {arguments.steps} steps; not adapted"
    return save_model_directory(
        target,
        model.network.cast(torch.float16),
        modality=model.modality,
        label_set=model.label_set,
        image_size=model.image_size,
        provenance={
            "summary": summary,
            "command": f"python demo/train_models.py --steps {arguments.steps} --frames {arguments.frames}",
            "streets": {"train": TRAIN_SEED, "validation": VALIDATION_SEED},
            "seed": 0,
            "license": "Apache-2.0",
        },
    )


def make_streets(folder: Path, seed: int, count: int) -> Path:
    """A StreetWorld folder of independent frames of many streets; left alone when it is complete."""
    if len(list((folder / "labels").glob("*.png"))) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    writer = FolderWriter(folder, {"seed": seed, "frames": count, "window_ms": 125.0})
    for index, instant in enumerate(street_frames(seed, count, (128, 256), window_ms=125.0, event_steps=2)):
        writer.add(instant, 1_700_000_000_000_000_000 + index * 1_000_000_000)
    return folder


def training_config(name: str, arguments: argparse.Namespace, train: Path, validation: Path) -> TrainingConfig:
    """Plain supervised training through the adaptation's own trainer: no pseudo-labels, no latent regression."""
    frames = {"kind": "streetworld", "sensor": name, "resize": [96, 192]}
    return from_mapping(
        TrainingConfig,
        {
            "output": str(arguments.work / name),
            "base": str(arguments.base),
            "modality": MODALITIES[name],
            "label_set": "madm11",
            "image_size": [96, 192],
            "architecture": {
                "projection_channels": [32, 64, 64, 64],
                "projection_bottleneck": 32,
                "embedding_channels": 16,
                "head_channels": 32,
            },
            "source": {**frames, "root": str(train)},
            "target": {**frames, "root": str(train), "use_labels": False},
            "validation": {**frames, "root": str(validation)},
            "method": {
                "learning_rate": 6.0e-4,
                "new_layer_learning_rate": 2.0e-3,
                "target_loss_weight": 0.0,
                "source_only_fraction": 1.0,
                "source_regression_weight": 0.0,
                "target_regression_weight": 0.0,
                "appearance_probability": 0.0,
                "rare_class_sampling": False,
            },
            "max_steps": arguments.steps,
            "batch_size": 2,
            "engine": {"workers": 0, "gradient_checkpointing": False},
            "validate_every": 300,
            "checkpoint_every": 300,
            "embed_base": True,
            "seed": 0,
        },
    )


if __name__ == "__main__":
    main()
