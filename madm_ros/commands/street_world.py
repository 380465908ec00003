"""``street_world``: a synthetic street camera, live on topics, as a bag or as a folder."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from tqdm import tqdm

from madm_core.command_line import command_parser, run_command
from madm_core.data.bag_writer import BagWriter, offered_qos
from madm_core.errors import InvalidInputError
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.conditions import CONDITIONS
from madm_core.streetworld.drive import SENSORS, Instant, drive
from madm_core.streetworld.folder import FolderWriter
from madm_core.streetworld.messages import EventsAs, StreetMessages
from madm_core.streetworld.world import StreetWorld

logger = logging.getLogger("street_world")

_NAMESPACE = "street"
_BAG_START_NS = 1_700_000_000_000_000_000  # bags and folders are reproducible to the byte: they begin at a fixed time


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "street_world",
        "A synthetic, moving street camera with exact labels (class ids of the label set madm11).\n"
        "Topics (equal stamps): /street/{rgb,depth,thermal}/{image_raw,camera_info}, /street/events, /street/labels",
        [
            "street_world --seed 3 --rate 10                           # everything, live",
            "street_world --modality depth --size 128x256 --conditions night",
            "street_world --seed 3 --duration 20 --write-bag drive_3   # no ROS needed",
            "street_world --ros-args -r __ns:=/robot                   # topics below /robot",
        ],
    )
    options.add_argument("--seed", type=int, default=0, help="of the street, its traffic and its weather (default 0)")
    options.add_argument("--size", default="128x256", metavar="HxW", help="picture size (default 128x256)")
    options.add_argument("--rate", type=float, default=10.0, help="pictures a second (default 10)")
    options.add_argument(
        "--modality", nargs="+", choices=[*SENSORS, "infrared"], default=["rgb", "depth", "thermal", "event"],
        help="sensors (default all); infrared is another name of thermal",
    )  # fmt: skip
    options.add_argument("--conditions", choices=[*CONDITIONS, "any"], default="day", help="default day")
    options.add_argument(
        "--duration", type=float, metavar="S", help="stop after S seconds (default: until interrupted)"
    )
    options.add_argument("--field-of-view", type=float, default=75.0, metavar="DEG", help="horizontal (default 75)")
    options.add_argument("--event-steps", type=int, default=4, help="renderings a picture for events (default 4)")
    options.add_argument(
        "--supersampling", type=int, default=1, choices=[1, 2, 3, 4], help="rays a pixel and direction for the colours"
    )
    options.add_argument(
        "--events-as",
        choices=["point_cloud2", "event_packet"],
        help="default: event_camera_msgs/EventPacket where that is installed, else sensor_msgs/PointCloud2",
    )
    options.add_argument(
        "--instances", action="store_true", help="also /street/instances: numbers of vehicles and people (mono16)"
    )
    target = options.add_mutually_exclusive_group()
    target.add_argument("--write-bag", metavar="DIR", help="write an mcap bag instead of publishing (needs --duration)")
    target.add_argument("--write-folder", metavar="DIR", help="write PNGs instead of publishing (needs --duration)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = words[: words.index("--ros-args")] if "--ros-args" in words else words
    return run_command(lambda chosen: _run(chosen, words), parser().parse_args(own))


def _run(chosen: argparse.Namespace, words: list[str]) -> int:
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
    if chosen.duration is not None:
        pictures = max(round(chosen.duration * chosen.rate), 1)
        instants = islice(instants, pictures * (chosen.event_steps if "event" in sensors else 1))
    # Without a choice: what this machine's ROS knows. A bag is read by others, and real cameras record packets.
    has_packets = bool(writing) or importlib.util.find_spec("event_camera_msgs") is not None
    events_as: EventsAs = chosen.events_as or ("event_packet" if has_packets else "point_cloud2")
    start_ns = _BAG_START_NS if writing else time.time_ns()
    messages = StreetMessages(camera, start_ns, events_as, instances=chosen.instances)
    if chosen.write_bag:
        return _write_bag(chosen.write_bag, instants, messages, sensors)
    if chosen.write_folder:
        return _write_folder(chosen, instants, world)
    return _publish(instants, messages, sensors, start_ns, words)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise InvalidInputError(
            "--size cannot be used", reason="option", got=text, expected="HEIGHTxWIDTH, e.g. 128x256"
        )
    return int(height), int(width)


def _shown(instants: Iterator[Instant]) -> Iterator[Instant]:
    return iter(tqdm(instants, unit=" instants", disable=not sys.stderr.isatty()))


def _write_bag(path: str, instants: Iterator[Instant], messages: StreetMessages, sensors: tuple[str, ...]) -> int:
    with BagWriter(path, "mcap", compress=True) as bag:
        for topic, type_name in messages.topics(sensors).items():
            bag.add_topic(f"/{_NAMESPACE}/{topic}", type_name, offered_qos(reliable=True, depth=10))
        for instant in _shown(instants):
            for message in messages.of(instant):
                bag.add(f"/{_NAMESPACE}/{message.topic}", message.type, message.data, message.stamp_ns)
    logger.info("wrote %d messages to %s", bag.count, path)
    return 0


def _write_folder(chosen: argparse.Namespace, instants: Iterator[Instant], world: StreetWorld) -> int:
    description = {
        "seed": world.seed,
        "conditions": world.conditions.name,
        "rate_hz": chosen.rate,
        "camera_matrix": world.camera.matrix.tolist(),
    }
    folder = FolderWriter(chosen.write_folder, description)
    for instant in _shown(instants):
        folder.add(instant, _BAG_START_NS + instant.time_ns)
    logger.info("wrote %d instants to %s", folder.count, folder.path)
    return 0


def _publish(
    instants: Iterator[Instant], messages: StreetMessages, sensors: tuple[str, ...], start_ns: int, words: list[str]
) -> int:
    import rclpy
    from rclpy.qos import QoSProfile
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import try_shutdown

    from madm_ros.message_types import message_class

    rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = rclpy.create_node("street_world", namespace=_NAMESPACE)
    try:
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
        node.destroy_node()
        try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
