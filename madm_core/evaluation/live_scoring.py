"""Scores what a running node answered to a bag, and compares it with the model offline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.data.bag import BagReader
from madm_core.data.bag_storage import BagMessage
from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.bag_frames import in_order, match_stamps
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.bag_scores import BagScores, percentiles
from madm_core.evaluation.evaluation_result import ReportSection
from madm_core.evaluation.frame_results import FrameObserver, FrameResult, show
from madm_core.evaluation.live_frames import AnsweredFrame, answered_images, answered_windows
from madm_core.evaluation.live_matching import LiveAnswers, LiveComparison
from madm_core.evaluation.match_counts import MatchCounts
from madm_core.labels import Labels
from madm_core.modalities import EventModality
from madm_core.segmenter import Segmenter

_COUNTERS = ("messages_received", "frames_received", "frames_published", "frames_dropped", "frames_rejected")
_DROPS = ("dropped_", "rejected_", "lost_in", "events_dropped", "events_lost")
"""How the names of the node's counters of losses begin."""


@dataclass
class LivePlay:
    """How a bag was played through a node, and what was measured.

    Args:
        rate: Bag seconds a real second.
        node: The node's full name.
        own_node: Whether it was started for this.
        published: Messages that were sent to it.
        answered: Label messages that came back.
        interrupted: Playing was ended early.
        latencies_ms: Milliseconds from sending the message whose stamp the labels carry to receiving the labels.
        ages_ms: Age of the labels' stamps when they came, in the bag's time, milliseconds.
        late_ms: By how much a message was sent too late, at most.
        node_values: The node's own last counters, from its diagnostics.
        transport: Topics and QoS.
        point_cloud_size: (height, width) for events that were played as point clouds.
        messages: Makes the messages again that were sent.
    """

    rate: float
    node: str
    own_node: bool
    messages: Callable[[], Iterable[BagMessage]]
    published: int = 0
    answered: int = 0
    interrupted: bool = False
    latencies_ms: list[float] = field(default_factory=list)
    ages_ms: list[float] = field(default_factory=list)
    late_ms: float = 0.0
    node_values: Mapping[str, str] = field(default_factory=dict)
    transport: Mapping[str, str] = field(default_factory=dict)
    point_cloud_size: tuple[int, int] = (0, 0)


def live_tolerance_s(request: BagRequest, segmenter: Segmenter) -> float:
    """Largest distance of ground truth from a frame: as asked, and for events at least half a window, as the node's
    windows do not end where labels are."""
    modality = segmenter.modality
    if isinstance(modality, EventModality) and request.tolerance_s == 0 and modality.window != "count":
        return modality.window_ms / 2e3
    return request.tolerance_s


def score_answers(
    request: BagRequest,
    path: str,
    label_path: str | None,
    segmenter: Segmenter,
    answers: LiveAnswers,
    play: LivePlay,
    observers: Sequence[FrameObserver] = (),
    *,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[BagScores, LiveComparison]:
    """Scores the node's labels where there is ground truth, and runs the model offline on the same frames.

    Args:
        request: How frames and labels are chosen.
        path: The bag.
        label_path: The bag with the label topic; None: the same.
        segmenter: The model that the node ran, with the same device and precision.
        answers: What came back.
        play: How it was played.
        observers: See every frame, with the node's labels.
        stop: Asked before every frame.

    Raises:
        DataError: Nothing can be scored, or labels and pictures differ in size.
    """
    scores = BagScores(str(path), segmenter.label_set, ("native",), segmenter.image_size)
    scores.interrupted = play.interrupted
    comparison = LiveComparison()
    with request.opened(path, label_path) as (bag, label_bag):
        scores.start_ns, scores.warnings = bag.start_ns, list(bag.warnings)
        frames = _answered(bag, request, segmenter, answers, play, scores.counts)
        labels = in_order(request.labels(bag, label_bag, segmenter.label_set), scores.counts)
        tolerance_ns = round(live_tolerance_s(request, segmenter) * 1e9)
        pairs = match_stamps(frames, labels, tolerance_ns, scores.counts)
        for number, (frame, truth) in enumerate(pairs):
            if number % request.stride:
                continue
            if stop():
                scores.interrupted = True
                break
            try:
                result = _result(str(path), segmenter, frame, truth.load(), comparison)
            except InvalidInputError as error:
                scores.counts.leave_out(error)
                continue
            scores.add(result)
            show(observers, result)
        if not len(scores.frames) and not scores.interrupted:
            raise DataError(
                "nothing could be scored",
                got=f"{play.answered} answers and {scores.counts.unmatched_labels} labels without a partner, "
                f"unusable: {scores.counts.unusable or 'none'}",
                expected="ground truth with the stamps of answered frames",
                do=f"say --tolerance SECONDS, or check the topics; the bag holds {bag.describe()}",
            )
    if not comparison.equal:
        scores.warnings.append(comparison.verdict)
    return scores, comparison


def _result(
    name: str,
    segmenter: Segmenter,
    frame: AnsweredFrame,
    truth: Labels,
    comparison: LiveComparison,
) -> FrameResult:
    live = frame.answer()
    if frame.encoded.image.shape[:2] != truth.shape or live.labels.shape != truth.shape:
        raise DataError(
            "labels, pictures and the node's answers differ in size",
            got=f"labels {truth.shape}, pictures {frame.encoded.image.shape[:2]}, answers {live.labels.shape}",
            expected="the sensor's size (height, width)",
        )
    comparison.add(frame.answer_ns, live, segmenter.segment(frame.encoded))
    # What took how long is in the section about the node: here it would be taken for the network's time.
    return FrameResult(name, frame.stamp_ns, frame.encoded.image, truth, live.labels, live.confidence, None)


def _answered(
    bag: BagReader,
    request: BagRequest,
    segmenter: Segmenter,
    answers: LiveAnswers,
    play: LivePlay,
    counts: MatchCounts,
) -> Iterator[AnsweredFrame]:
    modality = segmenter.modality
    if isinstance(modality, EventModality):
        return answered_windows(play.messages(), answers, modality, counts, play.point_cloud_size)
    kind = bag.topics[request.topic].type

    def decode(message: BagMessage) -> npt.NDArray[Any]:
        return bag.decode_image(message.data, kind)

    return answered_images(play.messages(), decode, answers, modality, counts)


def truth_size(request: BagRequest, path: str, label_path: str | None, segmenter: Segmenter) -> tuple[int, int]:
    """(height, width) of the ground truth, which is the sensor's.

    Raises:
        DataError: There is no ground truth, or the first one cannot be used.
    """
    with request.opened(path, label_path) as (bag, label_bag):
        for truth in request.labels(bag, label_bag, segmenter.label_set):
            try:
                height, width = truth.load().shape
            except InvalidInputError as error:
                raise DataError(str(error)) from error
            return height, width
        raise DataError("there is no ground truth in this part of the bag", got=label_bag.describe())


def live_section(
    key: str, title: str, play: LivePlay, comparison: LiveComparison, tolerance_s: float, is_event: bool
) -> ReportSection:
    """The part of the report about the node."""
    latency = percentiles(np.array(play.latencies_ms, np.float64))
    age = percentiles(np.array(play.ages_ms, np.float64))
    values = play.node_values
    dropped = {name: values[name] for name in sorted(values) if name.startswith(_DROPS)}
    rows = [
        ("live against offline", comparison.verdict),
        ("node", f"{play.node}, {'started for this' if play.own_node else 'was running'}"),
        ("messages sent", f"{play.published} at rate {play.rate:g}, at most {play.late_ms:.0f} ms late"),
        ("label images received", str(play.answered)),
        *((f"node: {name}", values[name]) for name in _COUNTERS if name in values),
        *((f"node: {name}", value) for name, value in dropped.items()),
        ("sent to labels received, ms", _times(latency)),
        ("age of the stamp when labels came (bag time), ms", _times(age)),
        *((name, value) for name, value in play.transport.items()),
    ]  # fmt: skip
    text = "Scores, pictures and latency are those of the labels that the node published."
    if is_event:
        text += (
            " The node cuts its own windows of events. Offline is the model on the same windows; truth is matched "
            f"with the nearest end of a window within {tolerance_s * 1e3:g} ms, so scores differ from those of an "
            "evaluation whose windows end at the labels."
        )
    data = {
        "node": play.node, "own_node": play.own_node, "rate": play.rate, "interrupted": play.interrupted,
        "messages_sent": play.published, "answers": play.answered, "latency_ms": latency, "stamp_age_ms": age,
        "worst_delay_of_sending_ms": play.late_ms, "tolerance_s": tolerance_s, "comparison": comparison.to_dict(),
        "node_counters": dict(values), "transport": dict(play.transport),
    }  # fmt: skip
    histograms = {
        "sent to labels received, ms": np.array(play.latencies_ms, np.float64),
        "age of the stamp, ms": np.array(play.ages_ms, np.float64),
    }
    return ReportSection(key, title, text, rows, data, histograms if play.latencies_ms else {})


def _times(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "not measured"
    return ", ".join(f"{name} {found[name]:.1f}" for name in ("median", "p90", "p99", "max"))
