"""The frames of a bag that can be scored: sensor data and ground truth of the same stamp, streamed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from madm_core.data.bag import IMAGE_TYPES, BagReader
from madm_core.data.event_topics import EVENT_TYPES, POINT_CLOUD
from madm_core.data.message_types import header_stamp_ns
from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.event_buffer import EventBuffer
from madm_core.evaluation.labels import TrueLabels
from madm_core.evaluation.match_counts import MatchCounts
from madm_core.events import voxel_grid
from madm_core.labels import Labels
from madm_core.messages.image_arrays import single_channel
from madm_core.modalities import EventModality, Modality

_REORDER = 16  # messages held back to put stamps in order: drivers swap neighbours, not more


class Frame(NamedTuple):
    """One pair: what the modality takes, and what is true."""

    stamp_ns: int
    raw: npt.NDArray[Any]
    truth: Labels


class _SensorImage(NamedTuple):
    stamp_ns: int
    load: Callable[[], npt.NDArray[Any]]


class _HasStamp(Protocol):
    @property
    def stamp_ns(self) -> int: ...


_Stamped = TypeVar("_Stamped", bound=_HasStamp)
_Image = TypeVar("_Image", bound=_HasStamp)
_Label = TypeVar("_Label", bound=_HasStamp)


def in_order(items: Iterator[_Stamped], counts: MatchCounts) -> Iterator[_Stamped]:
    """Puts nearly ordered items into the order of their stamps; what comes too late or twice is counted and left
    out."""
    waiting: list[tuple[int, int, _Stamped]] = []
    last: int | None = None
    for number, item in enumerate(items):
        heapq.heappush(waiting, (item.stamp_ns, number, item))
        if len(waiting) > _REORDER:
            stamp_ns, _, first = heapq.heappop(waiting)
            if last is not None and stamp_ns <= last:
                counts.out_of_order += 1
                continue
            last = stamp_ns
            yield first
    for stamp_ns, _, item in sorted(waiting, key=lambda entry: entry[:2]):
        if last is not None and stamp_ns <= last:
            counts.out_of_order += 1
            continue
        last = stamp_ns
        yield item


def match_stamps(
    images: Iterator[_Image], labels: Iterator[_Label], tolerance_ns: int, counts: MatchCounts
) -> Iterator[tuple[_Image, _Label]]:
    """Pairs two ordered streams by their stamps; of several candidates the nearest pair wins.

    Args:
        images, labels: In the order of their stamps.
        tolerance_ns: Largest difference of the stamps; 0 pairs equal stamps only.
        counts: Gets what stayed alone.
    """
    image, label = next(images, None), next(labels, None)
    while image is not None and label is not None:
        apart = image.stamp_ns - label.stamp_ns
        if abs(apart) > tolerance_ns:
            if apart < 0:
                counts.unlabelled += 1
                image = next(images, None)
            else:
                counts.unmatched_labels += 1
                label = next(labels, None)
            continue
        if apart < 0:
            following = next(images, None)
            if following is not None and abs(following.stamp_ns - label.stamp_ns) < -apart:
                counts.unlabelled += 1
                image = following
                continue
            yield image, label
            image, label = following, next(labels, None)
        else:
            later = next(labels, None)
            if later is not None and abs(image.stamp_ns - later.stamp_ns) < apart:
                counts.unmatched_labels += 1
                label = later
                continue
            yield image, label
            image, label = next(images, None), later
    counts.unlabelled += (image is not None) + sum(1 for _ in images)
    counts.unmatched_labels += (label is not None) + sum(1 for _ in labels)


def image_frames(
    bag: BagReader,
    topic: str,
    labels: Iterator[TrueLabels],
    counts: MatchCounts,
    *,
    tolerance_ns: int = 0,
    start_ns: int | None = None,
    stop_ns: int | None = None,
) -> Iterator[Frame]:
    """Frames of an image topic that have labels. Grey pictures that come as colour are taken back to one channel, as in
    the node; those that cannot be used, real colour among them, are counted and left out.

    Raises:
        DataError: The topic is missing or of another type.
    """
    info = bag.require_topic(topic, IMAGE_TYPES)

    def images() -> Iterator[_SensorImage]:
        for message in bag.messages([topic], start_ns, stop_ns):
            yield _SensorImage(header_stamp_ns(message.data), partial(bag.decode_image, message.data, info.type))

    for image, label in match_stamps(in_order(images(), counts), in_order(labels, counts), tolerance_ns, counts):
        try:
            frame = Frame(image.stamp_ns, single_channel(image.load()), label.load())
        except InvalidInputError as error:
            counts.leave_out(error)
            continue
        counts.matched += 1
        yield frame


def event_frames(
    bag: BagReader,
    topic: str,
    labels: Iterator[TrueLabels],
    counts: MatchCounts,
    modality: EventModality,
    *,
    start_ns: int | None = None,
    stop_ns: int | None = None,
) -> Iterator[Frame]:
    """Voxel grids of the windows that end where labels are: events with ``end - window <= t < end``.

    The window is the model's: a duration, a number of events, or whichever is shorter. Labels before the first or after
    the last event are counted as unmatched; labels whose window is empty are scored, as the network would be asked
    there too.

    Raises:
        DataError: The topic is missing or of another type.
    """
    info = bag.require_topic(topic, (*EVENT_TYPES, POINT_CLOUD))
    buffer = EventBuffer(bag, topic, info.type, counts, start_ns, stop_ns)
    window_ns = int(modality.window_ms * 1e6) if modality.window in ("time", "both") else None
    most = modality.window_count if modality.window in ("count", "both") else None
    for label in in_order(labels, counts):
        end_ns = label.stamp_ns
        events = buffer.window(end_ns, window_ns, most)
        if events is None:
            counts.unmatched_labels += 1
            continue
        try:
            truth = label.load()
        except InvalidInputError as error:
            counts.leave_out(error)
            continue
        height, width = buffer.size or truth.shape
        first_ns = int(events["t"][0]) if len(events) else end_ns
        begin_ns = first_ns if window_ns is None else max(first_ns, end_ns - window_ns) if most else end_ns - window_ns
        grid = voxel_grid(
            events["x"].astype(np.int64), events["y"].astype(np.int64), events["t"] - begin_ns, events["p"],
            bins=modality.bins, height=height, width=width, t_start=0, t_end=max(end_ns - begin_ns, 1),
        )  # fmt: skip
        counts.matched += 1
        yield Frame(end_ns, grid.numpy(), truth)


def check_topic(bag: BagReader, topic: str, modality: Modality) -> None:
    """Raises DataError unless the topic is in the bag and of a type that this modality's sensors send."""
    is_event = isinstance(modality, EventModality)
    info = bag.require_topic(topic)
    if info.type not in ((*EVENT_TYPES, POINT_CLOUD) if is_event else IMAGE_TYPES):
        raise DataError(
            f"the model takes {modality.name} data, and topic {topic} holds none",
            got=info.type,
            expected=" or ".join((*EVENT_TYPES, POINT_CLOUD) if is_event else IMAGE_TYPES),
            do=f"choose another topic or model; the bag holds {bag.describe()}",
        )
