"""How many pixels of each class every labelled frame shows: counted once with a progress bar, then cached."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from madm_core.data.frames import Frames
from madm_core.data.rare_class import ClassCounts, count_classes
from madm_core.errors import DataError


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
    if file.is_file():
        stored = json.loads(file.read_text(encoding="utf-8"))
        return [{int(class_id): pixels for class_id, pixels in picture.items()} for picture in stored]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        pictures = pool.map(lambda index: count_classes(frames.labels(index)), range(len(frames)))
        title = f"class statistics of {frames.name}"
        counts = list(tqdm(pictures, desc=title, total=len(frames), unit="frame", disable=not progress))
    if frames.known_ids:
        for frame, picture in zip(frames.files, counts, strict=True):
            unknown = sorted(set(picture) - frames.known_ids)
            if unknown:
                raise DataError(
                    f"the labels {frame.labels} hold ids outside the mapping",
                    got=unknown,
                    expected=f"ids of {sorted(frames.known_ids)}",
                    do="add them to the mapping file (as `ignore` if they do not matter)",
                )
    _write_atomically(file, json.dumps(counts))
    return counts


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
