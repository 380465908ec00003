"""What a running node answered to the frames of a bag, and whether it equals what the model says offline."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from madm_core.data.message_types import header_stamp_ns, standard_types
from madm_core.messages.image_arrays import image_to_array
from madm_core.segmenter import Prediction

_IMAGE = "sensor_msgs/msg/Image"


class _Place(NamedTuple):
    """Where a compressed message lies in the file."""

    offset: int
    length: int


class LiveAnswers:
    """Label and confidence messages as they came, kept in a file, found again by their stamp.

    Several messages of one stamp (windows of events that one message closed) are told apart by their order: topics
    are reliable and ordered.

    Args:
        path: File for the messages; what is in it is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._labels: dict[int, list[_Place]] = {}
        self._confidence: dict[int, list[_Place]] = {}
        self.count = 0

    def add_labels(self, cdr: bytes) -> int:
        """Keeps a serialized label image; its stamp."""
        self.count += 1
        return self._keep(self._labels, cdr)

    def add_confidence(self, cdr: bytes) -> None:
        """Keeps a serialized confidence image."""
        self._keep(self._confidence, cdr)

    def has(self, stamp_ns: int, number: int = 0) -> bool:
        """Whether there are labels for the ``number``-th frame of this stamp."""
        return len(self._labels.get(stamp_ns, ())) > number

    @property
    def complete(self) -> bool:
        """Whether as many confidence images as label images have come."""
        return sum(map(len, self._confidence.values())) >= self.count

    def prediction(self, stamp_ns: int, number: int = 0) -> LivePrediction:
        """The labels for the ``number``-th frame of this stamp, with their confidence if it came as well."""
        labels = self._read(self._labels[stamp_ns][number])
        places = self._confidence.get(stamp_ns, [])
        if len(places) <= number:
            return LivePrediction(labels, None)
        return LivePrediction(labels, self._read(places[number]).astype(np.float32) / np.float32(255))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _keep(self, places: dict[int, list[_Place]], cdr: bytes) -> int:
        stamp_ns = header_stamp_ns(cdr)
        packed = zlib.compress(cdr, 1)
        offset = self._file.seek(0, 2)
        self._file.write(packed)
        places.setdefault(stamp_ns, []).append(_Place(offset, len(packed)))
        return stamp_ns

    def _read(self, place: _Place) -> npt.NDArray[Any]:
        self._file.seek(place.offset)
        message = standard_types().decode(zlib.decompress(self._file.read(place.length)), _IMAGE)
        return image_to_array(message)

    def __enter__(self) -> LiveAnswers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LivePrediction(NamedTuple):
    """Labels (H, W) uint8 and confidence (H, W) float32 in steps of 1/255, None where none came."""

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32] | None


@dataclass
class LiveComparison:
    """Live labels against offline labels of the same frames.

    ``frames`` were compared, of which ``different_frames`` differ, in ``different_pixels`` of ``pixels``;
    ``first_different_ns`` is the stamp of the first of them. ``confidence_difference`` is the largest one: up to half a
    step of 1/255 comes from the message.
    """

    frames: int = 0
    different_frames: int = 0
    pixels: int = 0
    different_pixels: int = 0
    confidence_difference: float = 0.0
    first_different_ns: int | None = None

    def add(self, stamp_ns: int, live: LivePrediction, offline: Prediction) -> None:
        """Compares a frame; labels of another size differ in every pixel."""
        self.frames += 1
        self.pixels += offline.labels.size
        if live.labels.shape != offline.labels.shape:
            different = offline.labels.size
        else:
            different = int(np.count_nonzero(live.labels != offline.labels))
        if different:
            self.different_frames += 1
            self.different_pixels += different
            self.first_different_ns = self.first_different_ns or stamp_ns
        if live.confidence is not None and live.confidence.shape == offline.confidence.shape:
            apart = float(np.abs(live.confidence - offline.confidence).max(initial=0.0))
            self.confidence_difference = max(self.confidence_difference, apart)

    @property
    def equal(self) -> bool:
        """Whether every pixel that was compared is equal (True as well when there was none)."""
        return self.different_pixels == 0

    @property
    def verdict(self) -> str:
        """One line for people."""
        if not self.frames:
            return "nothing could be compared"
        if self.equal:
            return f"live labels equal offline labels: 0 of {self.pixels} pixels differ on {self.frames} frames"
        return (
            f"live labels DIFFER from offline labels: {self.different_pixels} of {self.pixels} pixels on "
            f"{self.different_frames} of {self.frames} frames, first at stamp {self.first_different_ns}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "equal": self.equal if self.frames else None,
            "frames": self.frames,
            "different_frames": self.different_frames,
            "pixels": self.pixels,
            "different_pixels": self.different_pixels,
            "first_different_ns": self.first_different_ns,
            "largest_confidence_difference": self.confidence_difference if self.frames else None,
        }
