"""How many pixels of each class every labelled frame shows: counted once with a progress bar, then cached."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from madm_core.data.frames import Frames
from madm_core.data.rare_class import ClassCounts, count_classes
from madm_core.errors import DataError

logger = logging.getLogger(__name__)


def class_counts(frames: Frames, cache: Path, *, progress: bool = True) -> ClassCounts:
    """Pixels per original label id of every frame.

    The reference needs two statistics files from another repository's script for this; here they are made on the spot
    and kept until a label file changes.

    Args:
        frames: Labelled frames.
        cache: Folder for the statistics.
        progress: Show a progress bar.

    Raises:
        DataError: A label file is missing or unreadable, or holds ids that the mapping does not know.
    """
    file = cache / "class_counts" / f"{_key(frames)}.json"
    counts = _stored(file, len(frames))
    if counts is None:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            pictures = pool.map(lambda index: count_classes(frames.labels(index)), range(len(frames)))
            title = f"class statistics of {frames.name}"
            counts = list(tqdm(pictures, desc=title, total=len(frames), unit="frame", disable=not progress))
        _write_atomically(file, json.dumps(counts))
    # Stored counts, too: the file does not depend on the mapping, which may have lost an id since.
    _check_ids(frames, counts)
    return counts


def _stored(file: Path, length: int) -> list[dict[int, int]] | None:
    """What an earlier run has counted; None where there is nothing, or nothing that can be used."""
    if not file.is_file():
        return None
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        counts = [{int(class_id): int(pixels) for class_id, pixels in picture.items()} for picture in stored]
        if len(counts) != length:
            raise ValueError(f"{len(counts)} frames instead of {length}")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("the class statistics in %s cannot be used and are made anew: %s", file, error)
        return None
    return counts


def _check_ids(frames: Frames, counts: ClassCounts) -> None:
    if not frames.known_ids:
        return
    for frame, picture in zip(frames.files, counts, strict=True):
        unknown = sorted(set(picture) - frames.known_ids)
        if unknown:
            raise DataError(
                f"the labels {frame.labels} hold ids outside the mapping",
                got=unknown,
                expected=f"ids of {sorted(frames.known_ids)}",
                do="add them to the mapping file (as `ignore` if they do not matter)",
            )


def _key(frames: Frames) -> str:
    digest = hashlib.sha256(frames.name.encode())
    for frame in frames.files:
        if frame.labels is None:
            raise DataError(f"{frames.name} has frames without labels", got=frame.image)
        try:
            status = frame.labels.stat()
        except OSError as error:
            raise DataError(f"cannot read {frame.labels}", got=error.strerror) from error
        digest.update(f"{frame.labels.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _write_atomically(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, file)
