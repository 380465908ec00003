"""The work of ``street_world``: the sensors of a synthetic street, onto topics, into a bag or into a folder."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import signal
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from madm_core.command_line import SUCCESS, Outcome
from madm_core.data.bag_writer import BagWriter, offered_qos
from madm_core.errors import InvalidInputError
from madm_core.interruption import raising_interrupted
from madm_core.progress import progress_bar
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.drive import Instant, drive
from madm_core.streetworld.folder import FolderWriter
from madm_core.streetworld.messages import EventsAs, StreetMessages
from madm_core.streetworld.world import StreetWorld

logger = logging.getLogger("street_world")

_NAMESPACE = "street"
_BAG_START_NS = 1_700_000_000_000_000_000  # bags and folders are reproducible to the byte: they begin at a fixed time


def run_street(chosen: argparse.Namespace, ros_arguments: list[str]) -> Outcome:
    """Does what the options of ``street_world`` ask for."""
    height, width = _size(chosen.size)
    if not 0 < chosen.rate <= 1000 or chosen.event_steps < 1 or (chosen.duration is not None and chosen.duration <= 0):
        raise InvalidInputError(
            "these options cannot be used",
            reason="option",
            got=f"--rate {chosen.rate:g}, --event-steps {chosen.event_steps}, --duration {chosen.duration}",
            expected="a rate above 0 (at most 1000), 1 or more steps, a duration above 0",
        )
    writing = chosen.write_bag or chosen.write_folder
    if writing and chosen.duration is None:
        raise InvalidInputError("a recording needs an end", reason="option", do="say --duration SECONDS")
    sensors = tuple(dict.fromkeys("thermal" if name == "infrared" else name for name in chosen.modality))
    conditions = None if chosen.conditions == "any" else chosen.conditions
    camera = Camera(height, width, chosen.field_of_view)
    world = StreetWorld(chosen.seed, camera, conditions, supersampling=chosen.supersampling)
    period_ns = round(1e9 / chosen.rate)
    instants = drive(world, sensors, period_ns=period_ns, event_steps=chosen.event_steps)
    expected = None
    if chosen.duration is not None:
        pictures = max(round(chosen.duration * chosen.rate), 1)
        expected = pictures * (chosen.event_steps if "event" in sensors else 1)
        instants = islice(instants, expected)
    # Without a choice: what this machine's ROS knows. A bag is read by others, and real cameras record packets.
    has_packets = bool(writing) or importlib.util.find_spec("event_camera_msgs") is not None
    events_as: EventsAs = chosen.events_as or ("event_packet" if has_packets else "point_cloud2")
    start_ns = _BAG_START_NS if writing else time.time_ns()
    messages = StreetMessages(camera, start_ns, events_as, instances=chosen.instances)
    if chosen.write_bag:
        return _write_bag(chosen.write_bag, _shown(instants, expected), messages, sensors)
    if chosen.write_folder:
        return _write_folder(chosen, _shown(instants, expected), world)
    with raising_interrupted(signal.SIGTERM):
        return _publish(instants, messages, sensors, start_ns, ros_arguments)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise InvalidInputError(
            "--size cannot be used", reason="option", got=text, expected="HEIGHTxWIDTH, e.g. 128x256"
        )
    return int(height), int(width)


def _shown(instants: Iterator[Instant], expected: int | None) -> Iterator[Instant]:
    with progress_bar("instants", expected) as bar:
        for instant in instants:
            yield instant
            bar.update()


def _write_bag(path: str, instants: Iterator[Instant], messages: StreetMessages, sensors: tuple[str, ...]) -> Outcome:
    with BagWriter(path, "mcap", compress=True) as bag:
        for topic, type_name in messages.topics(sensors).items():
            bag.add_topic(f"/{_NAMESPACE}/{topic}", type_name, offered_qos(reliable=True, depth=10))
        for instant in instants:
            for message in messages.of(instant):
                bag.add(f"/{_NAMESPACE}/{message.topic}", message.type, message.data, message.stamp_ns)
    logger.info("wrote %d messages to %s", bag.count, path)
    sensor = next((name for name in sensors if name != "rgb"), sensors[0])
    topic = f"/{_NAMESPACE}/events" if sensor == "event" else f"/{_NAMESPACE}/{sensor}/image_raw"
    score = f"evaluate_bag {path} --model MODEL --topic {topic} --label-topic /{_NAMESPACE}/labels"
    return Outcome(SUCCESS, [path], [score, f"replay_bag {path}"], {"messages": bag.count})


def _write_folder(chosen: argparse.Namespace, instants: Iterator[Instant], world: StreetWorld) -> Outcome:
    description = {
        "seed": world.seed,
        "conditions": world.conditions.name,
        "rate_hz": chosen.rate,
        "camera_matrix": world.camera.matrix.tolist(),
    }
    folder = FolderWriter(chosen.write_folder, description)
    for instant in instants:
        folder.add(instant, _BAG_START_NS + instant.time_ns)
    logger.info("wrote %d instants to %s", folder.count, folder.path)
    return Outcome(SUCCESS, [folder.path], facts={"instants": folder.count})


def _publish(
    instants: Iterator[Instant], messages: StreetMessages, sensors: tuple[str, ...], start_ns: int, words: list[str]
) -> Outcome:
    from rclpy.qos import QoSProfile

    from madm_ros.message_types import message_class
    from madm_ros.ros_session import enter_ros, leave_ros, make_node

    enter_ros(words)
    node = None
    try:
        node = make_node("street_world", _NAMESPACE)
        publishers: dict[str, Any] = {
            topic: node.create_publisher(message_class(type_name), topic, QoSProfile(depth=10))
            for topic, type_name in messages.topics(sensors).items()
        }
        logger.info("publishing %s", ", ".join(publisher.topic_name for publisher in publishers.values()))
        warned_at = time.monotonic()
        lost_ns = 0
        for instant in instants:
            outgoing = messages.of(instant)
            ahead_s = (start_ns + lost_ns + instant.time_ns - time.time_ns()) * 1e-9
            if ahead_s > 0:
                time.sleep(ahead_s)
            elif ahead_s < -0.5:
                # Stamps keep their spacing, as a drive has only one speed; wall time is simply lost.
                lost_ns -= int(ahead_s * 1e9)
                if time.monotonic() - warned_at > 5.0:
                    warned_at = time.monotonic()
                    logger.warning(
                        "rendering is too slow for this rate: stamps are %.1f s behind; lower --rate, --size or "
                        "--event-steps, or write a bag and replay it", lost_ns * 1e-9,
                    )  # fmt: skip
            for message in outgoing:
                publishers[message.topic].publish(message.data)
    finally:
        leave_ros(node)
    return Outcome()
