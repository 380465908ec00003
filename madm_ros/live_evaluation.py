"""``evaluate_bag --live``: the bag goes through the segmentation node, and its answers are scored."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from madm_core.data.bag import BagReader
from madm_core.data.bag_storage import BagMessage
from madm_core.data.event_topics import POINT_CLOUD
from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.bag_frames import check_topic
from madm_core.evaluation.bag_jobs import BagJob, BagOutcome, MakeObservers
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.evaluation_result import ReportSection
from madm_core.evaluation.frame_choice import FrameChoice
from madm_core.evaluation.frame_results import FrameObserver
from madm_core.evaluation.live_matching import LiveAnswers, LiveComparison
from madm_core.evaluation.live_scoring import LivePlay, live_section, live_tolerance_s, score_answers, truth_size
from madm_core.modalities import EventModality
from madm_core.segmenter import Segmenter
from madm_ros.bag_player import BagPlayer, cloud_converters, outgoing, published_as
from madm_ros.bag_publishers import BagPublishers
from madm_ros.live_listener import LiveListener
from madm_ros.live_session import LiveSession
from madm_ros.live_topics import NodeTopics, topics_of_running_node
from madm_ros.node_process import NodeProcess, use_large_message_profile


@dataclass(frozen=True)
class LiveOptions:
    """How bags are played through a node.

    Args:
        node: Full name of a running node; empty starts one for each bag.
        rate: Bag seconds a real second.
        queue_policy: Of a node that is started: ``latest`` as on a robot, ``every`` drops no frame.
        timeout_s: How long the node may take for its first answer.
        find_timeout_s: How long a running node is looked for.

    Raises:
        InvalidInputError: A number is out of its range.
    """

    node: str = ""
    rate: float = 1.0
    queue_policy: str = "latest"
    timeout_s: float = 60.0
    find_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.timeout_s > 0):
            raise InvalidInputError(
                "these options cannot be used",
                reason="option",
                got=f"--rate {self.rate:g}, --live-timeout {self.timeout_s:g}",
                expected="both above 0",
            )


def score_bags_live(
    request: BagRequest,
    jobs: Sequence[BagJob],
    segmenter: Segmenter,
    observers: MakeObservers,
    options: LiveOptions,
    output: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[BagOutcome], list[ReportSection], bool]:
    """Plays and scores bags, one after the other.

    Args:
        request: How frames and labels are chosen; of the protocols only ``native`` is possible.
        jobs: The bags.
        segmenter: The model that the node runs, loaded here as well.
        observers: As for ``score_bag``.
        options: How they are played.
        output: Folder for the node's log.
        stop: Asked often; when it says True, playing ends and what was answered is scored.

    Returns:
        The outcomes, a section of the report for each bag, and whether all live labels equal the offline ones.

    Raises:
        InvalidInputError: Another protocol than native.
        MadmError: The node or a bag cannot be used.
    """
    if request.protocols != ("native",):
        raise InvalidInputError(
            "--live has the protocol native only", reason="option", got=", ".join(request.protocols),
            do="leave --protocol out: the node publishes labels of the sensor's size",
        )  # fmt: skip
    use_large_message_profile()
    output.mkdir(parents=True, exist_ok=True)
    outcomes, sections, equal = [], [], True
    for number, job in enumerate(jobs):
        if stop():
            break
        with tempfile.TemporaryDirectory(prefix=".live_", dir=output) as folder, ExitStack() as opened:
            answers = opened.enter_context(LiveAnswers(Path(folder) / "answers"))
            size = truth_size(request, job.path, job.label_path, segmenter)
            log = output / ("node.log" if len(jobs) == 1 else f"node_{number}.log")
            play = play_live(request, job.path, segmenter, answers, options, size, log, stop=stop)
            choice = FrameChoice(len(segmenter.label_set))
            used: list[FrameObserver] = [choice]
            for observer in observers(job, segmenter):
                opened.callback(observer.close)
                used.append(observer)
            scores, comparison = score_answers(
                request, job.path, job.label_path, segmenter, answers, play, used,
                stop=(lambda: False) if play.interrupted else stop,
            )  # fmt: skip
        equal &= comparison.equal
        outcomes.append(BagOutcome(scores, choice, None))
        sections.append(_section(number if len(jobs) > 1 else None, job, play, comparison, request, segmenter))
    return outcomes, sections, equal


def _section(
    number: int | None,
    job: BagJob,
    play: LivePlay,
    comparison: LiveComparison,
    request: BagRequest,
    segmenter: Segmenter,
) -> ReportSection:
    key, title = ("live", "Live") if number is None else (f"live_{number}", f"Live: {job.path}")
    is_event = isinstance(segmenter.modality, EventModality)
    return live_section(key, title, play, comparison, live_tolerance_s(request, segmenter), is_event)


def play_live(
    request: BagRequest,
    path: str,
    segmenter: Segmenter,
    answers: LiveAnswers,
    options: LiveOptions,
    sensor_size: tuple[int, int],
    log: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> LivePlay:
    """Plays the sensor's topic of a bag through a node.

    Args:
        request: Topic, range, model and how it runs.
        path: The bag.
        segmenter: The model; says which sensor it is for.
        answers: Gets label and confidence messages.
        options: See :class:`LiveOptions`.
        sensor_size: (height, width) of an event camera, for events as point clouds.
        log: File for the output of a node that is started.
        stop: Asked often; when it says True, playing ends.

    Raises:
        MadmError: The node ends, cannot load the model, does not listen or does not answer.
        DataError: The topic is not in the bag, or of another type, or empty in this range.
    """
    with ExitStack() as opened:
        bag = opened.enter_context(BagReader(path))
        check_topic(bag, request.topic, segmenter.modality)
        infos = {request.topic: bag.require_topic(request.topic)}
        converters = cloud_converters(infos)
        kind = published_as(infos, converters)[request.topic].type
        listener = opened.enter_context(LiveListener())
        own: NodeProcess | None = None
        if options.node:
            topics = topics_of_running_node(listener.node, options.node, kind, listener.spin, options.find_timeout_s)
        else:
            namespace = f"/evaluate_bag_{os.getpid()}"
            topics = NodeTopics.below(namespace)
            parameters = _parameters(request, kind, segmenter, options, sensor_size)
            own = opened.enter_context(NodeProcess(request.model, topics.input, namespace, parameters, log))
        listener.listen(topics, answers)
        sender = listener.make_node("evaluate_bag_player", f"{request.topic}:={topics.input}")
        opened.callback(sender.destroy_node)
        publishers = BagPublishers(sender, published_as(infos, converters), "reliable", "volatile", 1000)
        start_ns, stop_ns = request.range_ns(bag)
        stop_ns = bag.end_ns + 1 if stop_ns is None else stop_ns
        session = LiveSession(listener, own, topics, answers, options.timeout_s, stop)
        player = BagPlayer(bag, publishers, converters, options.rate, session.wait)

        def messages() -> Iterator[BagMessage]:
            for converter in converters.values():
                converter.reset()
            with BagReader(path) as reader:
                for message in reader.messages([request.topic], start_ns, stop_ns):
                    try:
                        played = outgoing(message, converters)
                    except (InvalidInputError, DataError):
                        continue  # it was not played either
                    yield played

        size = sensor_size if kind == POINT_CLOUD else (0, 0)
        play = LivePlay(options.rate, topics.node, own is not None, messages, point_cloud_size=size)
        session.run(player, publishers, play, start_ns, stop_ns)
        return play


def _parameters(
    request: BagRequest, kind: str, segmenter: Segmenter, options: LiveOptions, size: tuple[int, int]
) -> dict[str, str]:
    """The parameters of a node that runs the model as it runs here."""
    parameters = {
        "device": request.device, "precision": request.precision, "resize": request.resize,
        "queue_policy": options.queue_policy, "queue_limit": "10000", "input_reliability": "reliable",
        "diagnostics_period_s": "0.2",
    }  # fmt: skip
    if request.base is not None:
        parameters["base"] = json.dumps(request.base)  # a path may be anything, which as YAML would be no text
    modality = segmenter.modality
    if not isinstance(modality, EventModality):
        return {**parameters, "image_message_type": kind}
    parameters["event_message_type"] = kind
    if options.rate < 1:
        # The node waits for events in real time, which a slow bag would exceed within a window.
        parameters["modality_overrides"] = f"max_wait_ms={modality.max_wait_ms / options.rate:g}"
    if kind == POINT_CLOUD:
        parameters |= {"event_height": str(size[0]), "event_width": str(size[1])}
    return parameters
