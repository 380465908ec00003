"""The test sets that MADM is published with: how they are opened, and the figures to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madm_core.config import load_config
from madm_core.data.frames import Frames
from madm_core.data.sources import open_frames
from madm_core.errors import ConfigError
from madm_core.labels import LabelSet
from madm_core.modalities import Modality


@dataclass(frozen=True)
class PublishedFigure:
    """What the authors state for one of their tasks, in percent, at 512x512 (protocol ``paper``).

    Args:
        task: Source and target.
        modality: Of the model that belongs to it.
        mean_iou: The paper's figure as the authors' README repeats it; None where it does not.
        released: The figure of the checkpoint that they released, where it differs.
    """

    task: str
    modality: str
    mean_iou: float | None = None
    released: float | None = None


SOURCE = (
    "README of the authors' repository (XiaRho/MADM), section Testing: 'Original' is the paper's, 'New' the released "
    "checkpoint's"
)
PUBLISHED: Mapping[str, PublishedFigure] = {
    "deliver": PublishedFigure("Cityscapes (RGB) to DELIVER (depth)", "depth"),
    "fmb": PublishedFigure("Cityscapes (RGB) to FMB (infrared)", "thermal", 62.23, 61.88),
    "dsec": PublishedFigure("Cityscapes (RGB) to DSEC (event)", "event", 56.31, 56.68),
}

_TEST_KEYS: Mapping[str, Mapping[str, Any]] = {
    "cityscapes": {"split": "val"},
    "deliver": {"split": "test", "use_labels": True},
    "fmb": {"split": "test", "use_labels": True},
    "dsec": {"split": "test", "use_labels": True},
}


@dataclass(frozen=True)
class _Keys:
    data: dict[str, Any]


def open_test_set(
    kind: str, words: Sequence[str], *, label_set: LabelSet, modality: Modality, cache: Path, progress: bool
) -> Frames:
    """Opens a labelled data set, by default its test part.

    Args:
        kind: One of :data:`madm_core.data.KINDS`, but not ``bag``.
        words: ``key=value`` of the kind's configuration class, as ``root=/data/FMB``.
        label_set: The model's.
        modality: The model's.
        cache: Folder for pictures drawn from events.
        progress: Show progress bars.

    Raises:
        ConfigError: An unknown key, a value that cannot be used, or a model of another sensor.
        DataError: Files are missing.
    """
    published = PUBLISHED.get(kind)
    if published is not None and modality.name != published.modality:
        raise ConfigError(
            f"the model is not for the data set {kind}", got=f"a {modality.name} model", expected=published.modality
        )
    given = load_config(_Keys, None, [f"data.kind={kind}", *(f"data.{word}" for word in words)]).data
    keys = {**_TEST_KEYS.get(kind, {}), **given}
    if kind == "streetworld":
        keys.setdefault("sensor", modality.name)
    color = kind == "cityscapes" or keys.get("sensor") == "rgb"
    return open_frames(
        keys, label_set=label_set, modality=None if color else modality, cache=cache, where="--data", progress=progress
    )
