"""The work of ``replay_bag``: plays bags onto live topics, and shows where it is."""

from __future__ import annotations

import argparse
import logging
import signal
import time
from typing import Any

from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from madm_core.command_line import Outcome
from madm_core.data.bag import BagReader, TopicInfo
from madm_core.data.bag_storage import BagMessage
from madm_core.data.event_clouds import EventCloudConverter
from madm_core.errors import DataError, InvalidInputError
from madm_core.interruption import raising_interrupted
from madm_core.terminal import shows_progress
from madm_ros.bag_player import BagPlayer, cloud_converters, published_as
from madm_ros.bag_publishers import BagPublishers
from madm_ros.ros_session import enter_ros, leave_ros, make_node
from madm_ros.terminal_keys import TerminalKeys, keys_reach_us

logger = logging.getLogger("replay_bag")

_NOTABLE_DELAY_NS = 100_000_000
_SHORTEST_ROUND_S = 0.1


def replay(chosen: argparse.Namespace, ros_arguments: list[str]) -> Outcome:
    """Plays what the options of ``replay_bag`` name."""
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
        enter_ros(ros_arguments)
        with raising_interrupted(signal.SIGTERM):
            node = None
            try:
                node = make_node("replay_bag")
                _Replay(node, bag, topics, converters, chosen).run(start_ns, stop_ns)
            finally:
                leave_ros(node)
    return Outcome()


def _check(chosen: argparse.Namespace) -> None:
    for option in ("rate", "duration", "clock", "depth"):
        value = getattr(chosen, option)
        if value is not None and not value > 0:
            raise InvalidInputError(f"--{option} cannot be used", reason="option", got=value, expected="more than 0")
    if chosen.start < 0:
        raise InvalidInputError("--start cannot be used", reason="option", got=chosen.start, expected="0 or more")
    if chosen.start_paused and not keys_reach_us():
        raise InvalidInputError(
            "--start-paused needs a terminal whose space bar resumes, and to run in its foreground", reason="option"
        )


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

    def run(self, start_ns: int, stop_ns: int) -> None:
        """Plays to the end, or, with ``--loop``, until interrupted."""
        chosen = self._chosen
        if chosen.wait_for_subscribers is not None:
            self._publishers.wait_for_subscribers(chosen.topics or [], chosen.wait_for_subscribers)
        end_ns = min(stop_ns, self._end_ns)
        self._bar = tqdm(
            total=round((end_ns - start_ns) / 1e9, 3),
            unit="s",
            disable=not shows_progress(),
            bar_format="{desc}{percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s of the bag{postfix}",
        )
        if chosen.start_paused:
            self._player.clock.toggle_pause()
        try:
            with self._bar, self._keys:
                began_s = time.monotonic()
                self._play_once(start_ns, stop_ns)
                if not self._player.published:
                    raise DataError(
                        "there is nothing to play", got="no message of these topics in this part of the bag"
                    )
                while chosen.loop:
                    self._wait_until(began_s + _SHORTEST_ROUND_S)
                    self._bar.reset()
                    began_s = time.monotonic()
                    self._play_once(start_ns, stop_ns)
            self._publishers.wait_until_delivered(5.0)
        finally:
            self._say_what_was_done()

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

    def _wait_until(self, end_s: float) -> None:
        """Looks at the keys till then: in a round of one latched message nothing else does."""
        while (left_s := end_s - time.monotonic()) > 0:
            self._wait(left_s)

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
