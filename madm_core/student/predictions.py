"""What the teacher says about every frame, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import log_softmax
from tqdm import tqdm

from madm_core.data.frames import Frames
from madm_core.errors import DataError
from madm_core.segmenter import Segmenter

logger = logging.getLogger(__name__)

_STEP = 1 / 16
"""Log-probabilities are stored in these steps, in one byte, from 0 down to -15.94: probabilities within 3 %."""
_FORMAT = 1


class TeacherPredictions:
    """Class log-probabilities of a teacher for the frames of a data set, in files.

    The folder is named after the teacher's weights and the frames' files: another teacher or other frames never find
    it, and a run that was interrupted goes on with the frames that are missing.

    Args:
        identity: Whatever the teacher's answers depend on (its description with the checksums of its weights).
        frames: The frames.
        cache: Folder of all caches.
    """

    def __init__(self, identity: str, frames: Frames, cache: Path) -> None:
        self._frames = frames
        self.folder = cache / "teacher_predictions" / _key(identity, frames)
        self.unusable: set[int] = set()
        """Frames that cannot be read; found by :meth:`prepare`."""

    def prepare(self, teacher: Segmenter, *, progress: bool = True) -> int:
        """Ask the teacher about the frames that are not in the cache yet.

        Args:
            teacher: The teacher of that identity.
            progress: Show a progress bar.

        Returns:
            How many those were.

        Raises:
            DataError: No frame can be read, or the cache cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot make the folder {self.folder}", got=error, do="give another cache=DIR") from error
        missing = [index for index in range(len(self._frames)) if not self._file(index).is_file()]
        for index in tqdm(missing, desc="teacher", unit="frame", disable=not progress):
            try:
                image = self._frames.image(index)
            except DataError as error:
                logger.warning("a frame of %s is left out: %s", self._frames.name, error)
                self.unusable.add(index)
                continue
            self._write(index, quantised(log_softmax(teacher.logits(image), dim=0)))
        if len(self.unusable) == len(self._frames):
            raise DataError(f"no frame of {self._frames.name} can be read", do="run check_data on these frames")
        return len(missing)

    def log_probabilities(self, index: int) -> torch.Tensor:
        """(K, h, w) float32 of one frame, at the teacher's resolution.

        Raises:
            DataError: The file is missing or damaged; it is deleted, so that the next run makes it again.
        """
        path = self._file(index)
        try:
            # The stream is ours, so that it is closed even when numpy cannot make sense of it.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                return restored(stored["log_probabilities"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            path.unlink(missing_ok=True)
            raise DataError(
                f"a stored answer of the teacher cannot be read: {path}", got=error, do="start the run again"
            ) from error

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:06d}.npz"

    def _write(self, index: int, values: npt.NDArray[np.uint8]) -> None:
        path = self._file(index)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as stream:
                np.savez_compressed(stream, log_probabilities=values)
            os.replace(unfinished, path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise DataError(f"cannot write {path}", got=error, do="free some space, or give another cache") from error


def quantised(log_probabilities: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Log-probabilities (at most 0) as one byte each."""
    steps: npt.NDArray[np.uint8] = (log_probabilities / -_STEP).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return steps


def restored(values: npt.NDArray[np.uint8]) -> torch.Tensor:
    """What :func:`quantised` stored, as float32."""
    return torch.from_numpy(values).float().mul_(-_STEP)


def _key(identity: str, frames: Frames) -> str:
    files = [(str(frame.image.resolve()), *_size_and_time(frame.image)) for frame in frames.files]
    modality = frames.modality.to_dict() if frames.modality is not None else None
    text = json.dumps([_FORMAT, identity, modality, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
