"""A training small enough to end in seconds: random base, pictures made of coloured blocks, and its configuration.

For tests, benchmarks, and for seeing the trainer work. Nothing of use is learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from madm_core.model.tiny_base import write_tiny_base

TINY_ARCHITECTURE: dict[str, Any] = {
    "projection_channels": [32, 32, 32, 32],
    "projection_bottleneck": 32,
    "embedding_channels": 8,
    "head_channels": 8,
}
"""The section ``architecture`` of a tiny run."""
_CLASSES = 11


def write_smallest_base(directory: Path) -> Path:
    """The smallest base that the trainer takes; see :func:`madm_core.model.tiny_base.write_tiny_base`."""
    return write_tiny_base(directory, unet_channels=(8, 8, 16, 16), vae_channels=(4, 4, 8, 8), text_width=8)


def write_tiny_data(folder: Path) -> None:
    """Writes ``base``, ``source/{images,labels}`` (6 of 80 x 96 pixels, colour) and ``target/...`` (5, grey)."""
    write_smallest_base(folder / "base")
    rng = np.random.default_rng(0)
    for name, count in (("source", 6), ("target", 5)):
        (folder / name / "images").mkdir(parents=True)
        (folder / name / "labels").mkdir()
        for index in range(count):
            labels = np.kron(rng.integers(0, _CLASSES, (5, 6)), np.ones((16, 16))).astype(np.uint8)
            image = np.stack([labels * 20, 255 - labels * 20, labels * 11], 2) + rng.integers(0, 30, (80, 96, 3))
            image = image.clip(0, 255).astype(np.uint8)
            Image.fromarray(image if name == "source" else image[:, :, 0]).save(folder / name / f"images/{index}.png")
            Image.fromarray(labels).save(folder / name / f"labels/{index}.png")


def tiny_fields(data: Path, output: Path) -> dict[str, Any]:
    """The configuration of a run of five steps on a CPU, as plain values.

    Args:
        data: What :func:`write_tiny_data` wrote.
        output: The run directory; the cache lies beside it.
    """
    return {
        "output": str(output),
        "base": str(data / "base"),
        "modality": {"name": "thermal"},
        "image_size": [64, 64],
        "architecture": TINY_ARCHITECTURE,
        "source": {
            "kind": "folder",
            "images": str(data / "source/images"),
            "labels": str(data / "source/labels"),
        },
        "target": {"kind": "folder", "images": str(data / "target/images")},
        "method": {
            "learning_rate": 1e-3,
            "new_layer_learning_rate": 1e-2,
            "rare_class_min_pixels": 10,
            "rare_class_min_crop_pixels": 5,
            "source_only_fraction": 0.0,
            "confidence_threshold": 0.2,
        },
        "max_steps": 5,
        "batch_size": 2,
        "engine": {"device": "cpu", "workers": 0, "gradient_checkpointing": False},
        "checkpoint_every": 2,
        "preview_every": 0,
        "validate_every": 0,
        "log_every": 1,
        "cache": str(output.parent / "cache"),
        "embed_base": True,
    }


def write_tiny_run(folder: Path, **changes: Any) -> Path:
    """Writes data and configuration into one folder.

    Args:
        folder: Made when missing; the run directory will be ``folder/run``.
        changes: Keys of the configuration that are to differ.

    Returns:
        The configuration file, for ``train_adapt --config``.
    """
    write_tiny_data(folder)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**tiny_fields(folder, folder / "run"), **changes}), encoding="utf-8")
    return path
