"""DSEC (Gehrig et al., RA-L 2021) with DSEC-Semantic's labels (Sun et al., ECCV 2022): driving with event cameras.

Either the edge pictures that the reference trains on, or the raw events of ``events.h5`` through our own voxel grid.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from madm_core.data.dsec_events import DsecEvents
from madm_core.data.frames import FrameFiles, Frames, list_images, read_array
from madm_core.data.published_sets import frame_files, require_label_set
from madm_core.errors import ConfigError, DataError
from madm_core.labels import IGNORE, LabelMap, LabelSet
from madm_core.modalities import EventModality, Modality

EXPECTED_COUNTS = {"train": 4037, "test": 2806}
_LABEL_ROWS = 440


@dataclass(frozen=True)
class DsecConfig:
    """``kind: dsec``.

    Args:
        root: Folder of the data set.
        split: ``train`` or ``test``.
        pictures: ``edges``: 8-bit pictures in ``<split>/<sequence>/edges/*.png``. ``events``: raw events in
            ``<split>_events/<sequence>/events/left/events.h5`` (with ``rectify_map.h5``), a picture for each stamp in
            ``<split>_semantic_segmentation/<split>/<sequence>/<sequence>_semantic_timestamps.txt``.
        use_labels: Pair the pictures with ``.../<sequence>/11classes/*.png``, and cut them to the upper 440 rows, which
            have labels; training as published leaves it off.
        resize: (height, width) before cropping.
    """

    root: Path
    split: Literal["train", "test"] = "train"
    pictures: Literal["edges", "events"] = "events"
    use_labels: bool = False
    resize: tuple[int, int] | None = (512, 768)


def dsec_frames(
    config: DsecConfig, label_set: LabelSet, modality: Modality | None, cache: Path, *, progress: bool = True
) -> Frames:
    """Lists DSEC; raw events are drawn once and kept as pictures in the cache.

    Raises:
        DataError: Files are missing or cannot be read.
        ConfigError: The label set is not DSEC-Semantic's 11 classes, or raw events come without the event modality.
        MissingDependencyError: Raw events need the extra ``dsec``.
    """
    require_label_set("DSEC", label_set, "madm11")
    semantic = config.root / f"{config.split}_semantic_segmentation" / config.split
    if config.pictures == "edges":
        files = _edge_files(config, semantic)
    else:
        if not isinstance(modality, EventModality):
            raise ConfigError("raw events of DSEC need the modality event", got=modality.name if modality else "none")
        files = _event_files(config, semantic, modality, cache, progress)
    return Frames(
        f"DSEC {config.split}",
        files,
        label_map=LabelMap.from_pairs({class_id: class_id for class_id in label_set.ids}),
        known_ids=frozenset({*label_set.ids, IGNORE}),
        resize=config.resize,
        read_image=_labelled_rows if config.use_labels else read_array,
        expected_count=EXPECTED_COUNTS[config.split],
    )


def _edge_files(config: DsecConfig, semantic: Path) -> list[FrameFiles]:
    images = [
        path for path in list_images(config.root / config.split, "DSEC edge pictures") if path.parent.name == "edges"
    ]
    if not images:
        raise DataError(f"there are no DSEC edge pictures in {config.root / config.split}", expected="*/edges/*.png")

    def labels_of(image: Path) -> Path:
        return semantic / image.parent.parent.name / "11classes" / image.name

    return frame_files("DSEC", images, labels_of if config.use_labels else None)


def _event_files(
    config: DsecConfig, semantic: Path, modality: EventModality, cache: Path, progress: bool
) -> list[FrameFiles]:
    folders = sorted(path for path in semantic.glob("*") if path.is_dir())
    if not folders:
        raise DataError(f"there are no DSEC sequences in {semantic}", do="download DSEC-Semantic and the events")
    files = []
    for folder in folders:
        drawn = _draw_sequence(config, folder, modality, cache, progress)
        files += frame_files("DSEC", drawn, _labels_in(folder) if config.use_labels else None)
    return files


def _labelled_rows(image: Path) -> npt.NDArray[Any]:
    # DSEC-Semantic labels the upper 440 of 480 rows; below them is the car itself.
    return read_array(image)[:_LABEL_ROWS]


def _labels_in(sequence: Path) -> Callable[[Path], Path]:
    return lambda image: sequence / "11classes" / image.name


def _draw_sequence(
    config: DsecConfig, folder: Path, modality: EventModality, cache: Path, progress: bool
) -> list[Path]:
    """Pictures of one sequence, named by the number of their label."""
    stamps_file = folder / f"{folder.name}_semantic_timestamps.txt"
    try:
        stamps_us = np.loadtxt(stamps_file, np.int64, ndmin=1)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {stamps_file}", got=f"{type(error).__name__}: {error}") from error
    left = config.root / f"{config.split}_events" / folder.name / "events" / "left"
    events_file = left / "events.h5"
    if not events_file.is_file():
        raise DataError(f"the events of DSEC sequence {folder.name} are missing", expected=events_file)
    status = events_file.stat()
    text = json.dumps(
        [str(events_file.resolve()), status.st_size, status.st_mtime_ns, modality.to_dict(), len(stamps_us)]
    )
    target = cache / "dsec_events" / f"{folder.name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    images = [target / f"{index:06d}.png" for index in range(len(stamps_us))]
    if target.is_dir():
        return images
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with DsecEvents(events_file, left / "rectify_map.h5") as events:
            for index, stamp_us in enumerate(tqdm(stamps_us, desc=f"events of {folder.name}", disable=not progress)):
                grid = events.voxel_grid(int(stamp_us), modality.window_ms, modality.bins)
                picture = np.round(modality.to_image(grid) * 255).astype(np.uint8)
                if not cv2.imwrite(str(unfinished / images[index].name), picture[:, :, ::-1]):
                    raise DataError(f"cannot write to {unfinished}", do="free some space")
        os.replace(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return images
