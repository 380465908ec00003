"""The frames that a running node answered, made again offline from the bag as the node made them.

Frames are encoded in the order of recording, those without ground truth too: a thermal model smooths its range over
the frames that it has seen, and those are the ones that were not dropped. Windows of events are the node's own, not
windows that end at the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from madm_core.data.bag_storage import BagMessage
from madm_core.data.event_topics import EVENT_PACKET, POINT_CLOUD
from madm_core.data.message_types import header_stamp_ns
from madm_core.errors import InvalidInputError
from madm_core.evaluation.live_matching import LiveAnswers, LivePrediction
from madm_core.evaluation.match_counts import MatchCounts
from madm_core.events import ClosedWindow, EventStream, EventWindow
from madm_core.messages.event_messages import parse_event_array, parse_event_packet, parse_point_cloud2
from madm_core.messages.image_arrays import single_channel
from madm_core.modalities import EncodedImage, EventModality, Modality

TIME_JUMP_NS = 500_000_000
"""A stamp earlier by more than this starts everything afresh; the node's parameter ``time_jump_s`` says the same."""


@dataclass(frozen=True)
class AnsweredFrame:
    """A frame with the node's answer.

    Args:
        stamp_ns: What ground truth is matched with: the image's stamp, or the end of the window of events.
        answer_ns: The stamp of the answer.
        encoded: What the network is given offline.
        answer: Reads the node's labels and confidence.
    """

    stamp_ns: int
    answer_ns: int
    encoded: EncodedImage
    answer: Callable[[], LivePrediction]


class _Numbered:
    """Tells frames of one stamp apart: the first, second, ... of it."""

    def __init__(self, answers: LiveAnswers) -> None:
        self._answers = answers
        self._seen: dict[int, int] = {}

    def answer(self, stamp_ns: int) -> Callable[[], LivePrediction] | None:
        """The answer to the next frame of this stamp; None when there was none."""
        number = self._seen.get(stamp_ns, 0)
        self._seen[stamp_ns] = number + 1
        if not self._answers.has(stamp_ns, number):
            return None
        return lambda: self._answers.prediction(stamp_ns, number)


def answered_images(
    messages: Iterable[BagMessage],
    decode: Callable[[BagMessage], npt.NDArray[Any]],
    answers: LiveAnswers,
    modality: Modality,
    counts: MatchCounts,
) -> Iterator[AnsweredFrame]:
    """Images that have an answer, in the order of their stamps; those whose stamps jump back are counted, not given.

    Args:
        messages: The sensor's, as they were played.
        decode: Message -> its pixels, (H, W) or (H, W, 3).
        answers: The node's.
        modality: Encodes every answered image, in the order of recording.
        counts: Gets what cannot be used.
    """
    modality.reset()
    numbered = _Numbered(answers)
    newest, before = -1, -1
    for message in messages:
        stamp_ns = header_stamp_ns(message.data)
        if stamp_ns < before - TIME_JUMP_NS:
            modality.reset()
        before = stamp_ns
        answer = numbered.answer(stamp_ns)
        if answer is None:
            continue
        try:
            encoded = modality.encode(single_channel(decode(message)))
        except InvalidInputError as error:
            counts.cannot_use(error)
            continue
        if stamp_ns <= newest:
            counts.out_of_order += 1
            continue
        newest = stamp_ns
        yield AnsweredFrame(stamp_ns, stamp_ns, encoded, answer)


def answered_windows(
    messages: Iterable[BagMessage],
    answers: LiveAnswers,
    modality: EventModality,
    counts: MatchCounts,
    point_cloud_size: tuple[int, int] = (0, 0),
) -> Iterator[AnsweredFrame]:
    """Windows of events that have an answer, in the order of their ends.

    Args:
        messages: The sensor's, with the types as they were played.
        answers: The node's.
        modality: Says how windows are cut.
        counts: Gets messages that cannot be used.
        point_cloud_size: (height, width) of the sensor, for PointCloud2.
    """
    numbered = _Numbered(answers)
    newest = -1
    for window in _windows(messages, modality, counts, point_cloud_size):
        answer = numbered.answer(window.header.stamp_ns)
        if answer is None:
            continue
        if window.t_end_ns <= newest:
            counts.out_of_order += 1
            continue
        newest = window.t_end_ns
        yield AnsweredFrame(window.t_end_ns, window.header.stamp_ns, modality.encode(window.grid), answer)


def _windows(
    messages: Iterable[BagMessage], modality: EventModality, counts: MatchCounts, size: tuple[int, int]
) -> Iterator[ClosedWindow]:
    """The windows that the node publishes, each valid until the next is asked for."""
    stream = EventStream(EventWindow.of(modality), modality.bins)
    last_header: object = None
    before = -1
    for message in messages:
        stamp_ns = header_stamp_ns(message.data)
        if stamp_ns < before - TIME_JUMP_NS:
            stream.reset()
        before = stamp_ns
        try:
            closed = _add(stream, message, size)
        except InvalidInputError as error:
            counts.cannot_use(error)
            continue
        for window in closed:
            if window.events or window.header is not last_header:
                last_header = window.header
                yield window
    # When nothing more comes, the node closes the open window with what it has.
    for window in stream.flush_waiting(before + round(2 * modality.max_wait_ms * 1e6)):
        if window.events or window.header is not last_header:
            last_header = window.header
            yield window


def _add(stream: EventStream, message: BagMessage, size: tuple[int, int]) -> list[ClosedWindow]:
    if message.type == EVENT_PACKET:
        packet, header = parse_event_packet(message.data)
        return stream.add(packet, header)
    if message.type == POINT_CLOUD:
        events, header = parse_point_cloud2(message.data)
        return stream.add_events(events, size[1], size[0], header.stamp_ns, header)
    events, width, height, header = parse_event_array(message.data)
    return stream.add_events(events, width, height, header.stamp_ns, header)
