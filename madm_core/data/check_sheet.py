"""A sheet of sample frames, so that a person sees what the training will see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.data.crops import resize_image, resize_labels
from madm_core.data.frames import Frames
from madm_core.errors import DataError
from madm_core.labels import LabelSet

_TILE_HEIGHT = 144


def check_sheet(frames: Frames, label_set: LabelSet, samples: int = 8) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8: frames spread evenly over the set, the labelled ones with their painted labels below.

    Raises:
        DataError: None of the frames can be read.
    """
    columns = []
    for index in np.linspace(0, len(frames) - 1, min(samples, len(frames))).round().astype(int).tolist():
        try:
            image = frames.image(index)
            size = (_TILE_HEIGHT, max(1, round(image.shape[1] * _TILE_HEIGHT / image.shape[0])))
            tiles = [resize_image(image, size)]
            if frames.labelled:
                labels = resize_labels(frames.to_label_set(frames.labels(index)), size)
                tiles.append(label_set.colorize(labels))
        except DataError:
            continue
        columns.append(np.concatenate(tiles, axis=0))
    if not columns:
        raise DataError(f"no frame of {frames.name} can be shown", do="see the problems listed above")
    return np.concatenate(columns, axis=1)


def save_sheet(path: Path, sheet: npt.NDArray[np.uint8]) -> None:
    """Writes a sheet as PNG.

    Raises:
        DataError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.ascontiguousarray(sheet[:, :, ::-1])):
        raise DataError(f"cannot write {path}", do="check free space and permissions")
