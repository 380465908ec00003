"""What to score in a recording, and the frames that this selects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from madm_core.data.bag import IMAGE_TYPES, BagReader
from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.bag_frames import Frame, check_topic, event_frames, image_frames
from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.frame_results import ProtocolName
from madm_core.evaluation.labels import TrueLabels, labels_of_folder, labels_of_topic, stamp_of_name
from madm_core.labels import LabelMap, LabelSet
from madm_core.modalities import EventModality
from madm_core.segmenter import Segmenter

Item = TypeVar("Item")


@dataclass(frozen=True)
class BagRequest:
    """How frames and labels are found; the same for every recording of a run. Can be pickled.

    Args:
        model: Model directory or hub id.
        topic: The sensor's topic.
        label_topic: Topic of the ground truth; None: ``label_folder`` has it.
        label_folder: PNG files named by their stamp.
        label_map: Renames the labels' ids.
        protocols: What is scored.
        tolerance_s: Largest difference of the stamps in seconds; 0: equal stamps.
        start_s: Where to begin, in seconds from the recording's start.
        duration_s: How much of it to use, in seconds; None: to its end.
        stride: Every n-th frame (for events: every n-th label).
        device: See ``Segmenter``.
        precision: See ``Segmenter``.
        resize: See ``Segmenter``.
        base: Where the model's base is, if it is not where the model says.

    Raises:
        InvalidInputError: A number is out of its range.
    """

    model: str
    topic: str
    label_topic: str | None = None
    label_folder: str | None = None
    label_map: LabelMap | None = None
    protocols: tuple[ProtocolName, ...] = ("native",)
    tolerance_s: float = 0.0
    start_s: float = 0.0
    duration_s: float | None = None
    stride: int = 1
    device: str = "auto"
    precision: str = "auto"
    resize: str = "reference"
    base: str | None = None

    def __post_init__(self) -> None:
        if self.tolerance_s < 0 or self.stride < 1 or self.start_s < 0 or (self.duration_s or 1) <= 0:
            raise InvalidInputError(
                "these options cannot be used",
                reason="option",
                got=f"--tolerance {self.tolerance_s:g}, --stride {self.stride}, --start {self.start_s:g}, "
                f"--duration {self.duration_s}",
                expected="a tolerance and a start of 0 or more, a stride of 1 or more, a duration above 0",
            )

    def check_topics(self, path: str, label_path: str | None = None) -> None:
        """What can be said of a recording without the model, which may take long to load.

        Raises:
            DataError: The recording cannot be read or lacks a topic.
        """
        with self.opened(path, label_path):
            pass

    @contextmanager
    def opened(self, path: str, label_path: str | None = None) -> Iterator[tuple[BagReader, BagReader]]:
        """A recording and, read independently of it, the bag with its labels, which may be the same.

        Raises:
            DataError: One cannot be read or lacks its topic.
        """
        with BagReader(path) as bag, BagReader(label_path or path) as label_bag:
            if bag.message_count == 0:
                raise DataError(f"the bag {path} holds no messages", got=bag.describe(), do="record it again")
            bag.require_topic(self.topic)
            if self.label_topic is not None:
                label_bag.require_topic(self.label_topic, IMAGE_TYPES)
            yield bag, label_bag

    def load_segmenter(self) -> Segmenter:
        """The model, ready to run."""
        segmenter = Segmenter.from_pretrained(
            self.model, device=self.device, precision=self.precision, resize=self.resize, base=self.base
        )
        segmenter.warm_up()
        return segmenter

    def to_dict(self) -> dict[str, Any]:
        """How frames were chosen, JSON-ready."""
        return {
            "topic": self.topic,
            "labels_from": self.label_topic or self.label_folder,
            "label_map": None if self.label_map is None else self.label_map.table.tolist(),
            "tolerance_s": self.tolerance_s,
            "start_s": self.start_s,
            "duration_s": self.duration_s,
            "stride": self.stride,
        }

    @contextmanager
    def open(
        self, path: str, segmenter: Segmenter, label_path: str | None = None
    ) -> Iterator[tuple[BagScores, Iterator[Frame]]]:
        """Opens a recording: empty scores for it, with what is known beforehand, and its frames, streamed.

        Args:
            path: The bag.
            segmenter: Its modality forgets what it learned from other recordings.
            label_path: Another bag, which holds the label topic; None: the same.

        Raises:
            DataError: The recording cannot be read, or lacks the topics, or they have other types.
        """
        with self.opened(path, label_path) as (bag, label_bag):
            check_topic(bag, self.topic, segmenter.modality)
            segmenter.modality.reset()
            scores = BagScores(str(path), segmenter.label_set, self.protocols, segmenter.image_size)
            scores.start_ns = bag.start_ns
            scores.warnings = list(bag.warnings)
            scores.expected = self._expected(bag, label_bag, isinstance(segmenter.modality, EventModality))
            yield scores, self._frames(bag, label_bag, segmenter, scores)

    def require_frames(self, scores: BagScores, path: str) -> None:
        """Raises DataError when a recording was read to its end and nothing in it could be scored."""
        if len(scores.frames) or scores.interrupted:
            return
        counts = scores.counts
        with BagReader(path) as bag:
            if counts.unusable:
                raise DataError(
                    "nothing could be scored: the messages of this topic cannot be used with this model",
                    got="; ".join(
                        f"{counts.unusable[reason]} times: {said}" for reason, said in counts.examples.items()
                    ),
                    do=f"choose another topic or model; the bag holds {bag.describe()}",
                )
            raise DataError(
                "nothing could be scored",
                got=f"{counts.unlabelled} frames and {counts.unmatched_labels} labels without a partner",
                expected="frames and labels with equal stamps",
                do=f"say --tolerance SECONDS, or check the topics; the bag holds {bag.describe()}",
            )

    def range_ns(self, bag: BagReader) -> tuple[int, int | None]:
        """The recording times of the part to score: first, inclusive, and last, exclusive; None: to the end."""
        start_ns = bag.start_ns + int(self.start_s * 1e9)
        return start_ns, None if self.duration_s is None else start_ns + int(self.duration_s * 1e9)

    def labels(self, bag: BagReader, label_bag: BagReader, label_set: LabelSet) -> Iterator[TrueLabels]:
        """The ground truth of the part of ``bag`` that is scored, streamed; a label topic is read from ``label_bag``.

        Raises:
            DataError: There is none, or the topic is of another type.
        """
        if self.label_topic is None:
            return labels_of_folder(Path(self.label_folder or ""), label_set, self.label_map)
        return labels_of_topic(label_bag, self.label_topic, label_set, self.label_map, *self.range_ns(bag))

    def _expected(self, bag: BagReader, label_bag: BagReader, is_event: bool) -> int:
        """About how many frames will be scored: exact for a whole recording in which every frame has a label."""
        if self.label_topic is not None:
            labels = label_bag.topics[self.label_topic].count
        else:
            labels = sum(stamp_of_name(file.stem) is not None for file in Path(self.label_folder or "").glob("*.png"))
        number = labels if is_event else min(labels, bag.topics[self.topic].count)
        start_ns, stop_ns = self.range_ns(bag)
        length = max(bag.end_ns - bag.start_ns, 1)
        share = (min(bag.end_ns, stop_ns or bag.end_ns) - min(start_ns, bag.end_ns)) / length
        return -(-round(number * share) // self.stride)

    def _frames(self, bag: BagReader, label_bag: BagReader, segmenter: Segmenter, scores: BagScores) -> Iterator[Frame]:
        start_ns, stop_ns = self.range_ns(bag)
        labels = self.labels(bag, label_bag, segmenter.label_set)
        modality = segmenter.modality
        if isinstance(modality, EventModality):
            # Decoding is cheap compared with the network: the stride applies to the labels at which windows end.
            return event_frames(
                bag,
                self.topic,
                _every(labels, self.stride),
                scores.counts,
                modality,
                start_ns=start_ns,
                stop_ns=stop_ns,
            )
        frames = image_frames(
            bag, self.topic, labels, scores.counts,
            tolerance_ns=round(self.tolerance_s * 1e9), start_ns=start_ns, stop_ns=stop_ns,
        )  # fmt: skip
        return _every(frames, self.stride)


def _every(items: Iterator[Item], stride: int) -> Iterator[Item]:
    return (item for index, item in enumerate(items) if index % stride == 0)
