"""What the readers of published data sets have in common: one label set each, and labels beside the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from madm_core.data.frames import FrameFiles
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet


def require_label_set(data_set: str, label_set: LabelSet, needed: str) -> None:
    """Checks that labels are to become those that a data set maps to.

    Raises:
        ConfigError: ``label_set`` is another one than ``needed``.
    """
    if label_set.name != needed:
        raise ConfigError(f"{data_set} has no mapping to the label set", got=label_set.name, expected=needed)


def frame_files(data_set: str, images: Iterable[Path], labels_of: Callable[[Path], Path] | None) -> list[FrameFiles]:
    """Pairs pictures with their labels.

    Args:
        data_set: Its name, for errors.
        images: Pictures.
        labels_of: Picture -> where its labels must be; None leaves the frames unlabelled.

    Raises:
        DataError: A picture has no labels.
    """
    files = []
    for image in images:
        labels = labels_of(image) if labels_of is not None else None
        if labels is not None and not labels.is_file():
            raise DataError(
                f"a picture of {data_set} has no labels", got=image, expected=labels, do="download its labels too"
            )
        files.append(FrameFiles(image, labels))
    return files
