"""``replay_bag``: plays a recording onto live topics, with the messages exactly as they were recorded."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args, try_shutdown
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from madm_core.command_line import command_parser, run_command
from madm_core.data.bag import BagReader, TopicInfo
from madm_core.data.bag_storage import BagMessage
from madm_core.data.event_clouds import EventCloudConverter
from madm_core.errors import DataError, InvalidInputError
from madm_ros.bag_player import BagPlayer, cloud_converters, published_as
from madm_ros.bag_publishers import BagPublishers
from madm_ros.terminal_keys import TerminalKeys

logger = logging.getLogger("replay_bag")

_NOTABLE_DELAY_NS = 100_000_000


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "replay_bag",
        "Plays ROS 2 bags (sqlite3 or mcap; split, zstd; .mcap files cut short up to the cut) onto live topics.\n"
        "Messages are published as the bytes that were recorded: header stamps stay. The space bar pauses.",
        [
            "replay_bag drive_1 --topics /event_camera/events --rate 0.5",
            "replay_bag drive_1 --clock --loop          # for nodes with use_sim_time:=true",
            "replay_bag events.mcap --events-as point_cloud2   # when event_camera_msgs is not installed",
            "replay_bag drive_1 --ros-args -r /camera/image:=/image   # under another name",
        ],
    )
    options.add_argument("bag", nargs="+", help="bag directory, .mcap or .db3 file; several play as one")
    options.add_argument("--rate", type=float, default=1.0, help="bag seconds a real second (default 1)")
    options.add_argument("--loop", action="store_true", help="start again at the end, until interrupted")
    options.add_argument(
        "--clock", type=float, nargs="?", const=100.0, metavar="HZ", help="publish /clock (default 100 times a second)"
    )
    options.add_argument("--topics", nargs="+", metavar="TOPIC", help="only these")
    options.add_argument("--start", type=float, default=0.0, metavar="S", help="begin S seconds after the bag's start")
    options.add_argument("--duration", type=float, metavar="S", help="play S seconds of the bag")
    options.add_argument("--start-paused", action="store_true", help="wait for the space bar (needs a terminal)")
    options.add_argument(
        "--wait-for-subscribers",
        type=float,
        nargs="?",
        const=60.0,
        metavar="S",
        help="wait up to S seconds (default 60) for subscribers: on every topic of --topics; without it, on any topic",
    )
    options.add_argument(
        "--events-as",
        choices=["recorded", "point_cloud2"],
        help="how event messages are published (default: as recorded, or as sensor_msgs/PointCloud2 with the fields x, "
        "y, t, p when their message package is not installed)",
    )
    options.add_argument(
        "--reliability",
        choices=["reliable", "best_effort", "recorded"],
        default="reliable",
        help="offered QoS (default reliable, which best-effort subscribers accept as well)",
    )
    options.add_argument("--durability", choices=["volatile", "transient_local", "recorded"], default="recorded")
    options.add_argument("--depth", type=int, default=100, help="messages kept for slow subscribers (default 100)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = list(sys.argv if arguments is None else ["replay_bag", *arguments])
    return run_command(lambda chosen: _replay(chosen, words), parser().parse_args(remove_ros_args(words)[1:]))


def _replay(chosen: argparse.Namespace, words: list[str]) -> int:
    _check(chosen)
    with BagReader(chosen.bag) as bag:
        wanted = list(bag.topics) if chosen.topics is None else chosen.topics
        topics = {topic: bag.require_topic(topic) for topic in wanted}
        start_ns = bag.start_ns + int(chosen.start * 1e9)
        stop_ns = bag.end_ns + 1 if chosen.duration is None else start_ns + int(chosen.duration * 1e9)
        if bag.message_count == 0 or start_ns > bag.end_ns:
            length = (bag.end_ns - bag.start_ns) / 1e9
            raise DataError("there is nothing to play", got=f"a bag of {length:.3f} s, {bag.describe()}")
        converters = cloud_converters(topics, chosen.events_as)
        # Our own handling of Ctrl-C: rclpy's would invalidate the publishers while they are in use.
        rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        node = rclpy.create_node("replay_bag")
        try:
            return _Replay(node, bag, topics, converters, chosen).run(start_ns, stop_ns)
        finally:
            node.destroy_node()
            try_shutdown()


def _check(chosen: argparse.Namespace) -> None:
    for option in ("rate", "duration", "clock", "depth"):
        value = getattr(chosen, option)
        if value is not None and not value > 0:
            raise InvalidInputError(f"--{option} cannot be used", reason="option", got=value, expected="more than 0")
    if chosen.start < 0:
        raise InvalidInputError("--start cannot be used", reason="option", got=chosen.start, expected="0 or more")
    if chosen.start_paused and not sys.stdin.isatty():
        raise InvalidInputError("--start-paused needs a terminal whose space bar resumes", reason="option")


class _Replay:
    """Plays once or for ever, and shows where it is."""

    def __init__(
        self,
        node: Node,
        bag: BagReader,
        topics: dict[str, TopicInfo],
        converters: dict[str, EventCloudConverter],
        chosen: argparse.Namespace,
    ) -> None:
        self._chosen = chosen
        self._end_ns = bag.end_ns
        self._publishers = BagPublishers(
            node, published_as(topics, converters), chosen.reliability, chosen.durability, chosen.depth
        )
        self._clock_publisher = node.create_publisher(Clock, "/clock", 10) if chosen.clock else None
        self._keys = TerminalKeys()
        self._bar: Any = None
        self._player = BagPlayer(bag, self._publishers, converters, chosen.rate, self._wait)

    def run(self, start_ns: int, stop_ns: int) -> int:
        """Plays; returns the exit code."""
        chosen = self._chosen
        if chosen.wait_for_subscribers is not None:
            self._publishers.wait_for_subscribers(chosen.topics or [], chosen.wait_for_subscribers)
        end_ns = min(stop_ns, self._end_ns)
        self._bar = tqdm(
            total=round((end_ns - start_ns) / 1e9, 3),
            unit="s",
            disable=not sys.stderr.isatty(),
            bar_format="{desc}{percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s of the bag{postfix}",
        )
        if chosen.start_paused:
            self._player.clock.toggle_pause()
        try:
            with self._bar, self._keys:
                self._play_once(start_ns, stop_ns)
                if not self._player.published:
                    raise DataError(
                        "there is nothing to play", got="no message of these topics in this part of the bag"
                    )
                while chosen.loop:
                    self._bar.reset()
                    self._play_once(start_ns, stop_ns)
            self._publishers.wait_until_delivered(5.0)
        finally:
            self._say_what_was_done()
        return 0

    def _play_once(self, start_ns: int, stop_ns: int) -> None:
        def show(message: BagMessage) -> None:
            self._bar.n = (message.stamp_ns - start_ns) / 1e9
            self._bar.update(0)

        period = 1.0 / self._chosen.clock if self._chosen.clock else None
        self._player.play(start_ns, stop_ns, show, self._tick, period)

    def _tick(self, stamp_ns: int) -> None:
        assert self._clock_publisher is not None
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(stamp_ns, 1_000_000_000)
        self._clock_publisher.publish(message)

    def _wait(self, seconds: float) -> None:
        if self._keys.wait(seconds) == " ":
            self._player.clock.toggle_pause()
            self._bar.set_postfix_str("  paused, space bar goes on" if self._player.clock.paused else "")

    def _say_what_was_done(self) -> None:
        player = self._player
        logger.info("published %d messages on %s", player.published, ", ".join(self._publishers.topics))
        if player.unusable:
            logger.warning("%d messages could not be converted and were left out", player.unusable)
        if player.worst_delay_ns > _NOTABLE_DELAY_NS:
            logger.warning(
                "playing lagged behind by up to %.2f s: choose a lower --rate or fewer --topics",
                player.worst_delay_ns / 1e9,
            )


if __name__ == "__main__":
    sys.exit(main())
