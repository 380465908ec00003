"""Playing a bag: its messages go out at their times, as they were recorded or as point clouds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from madm_core.data.bag import BagReader, TopicInfo
from madm_core.data.bag_storage import BagMessage
from madm_core.data.event_clouds import EventCloudConverter
from madm_core.data.event_topics import EVENT_TYPES, POINT_CLOUD
from madm_core.data.playback import PlaybackClock, paced
from madm_core.errors import DataError, InvalidInputError, MissingDependencyError
from madm_core.events import warm_up
from madm_ros.bag_publishers import BagPublishers
from madm_ros.message_types import message_class

logger = logging.getLogger(__name__)


def cloud_converters(topics: Mapping[str, TopicInfo], events_as: str | None = None) -> dict[str, EventCloudConverter]:
    """Which event topics go out as point clouds.

    Args:
        topics: What is to be played.
        events_as: ``recorded``, ``point_cloud2``, or None: as recorded where the message's package is installed.
    """
    converters = {}
    for topic, info in topics.items():
        if info.type not in EVENT_TYPES or events_as == "recorded":
            continue
        reason = "as asked for"
        if events_as is None:
            try:
                message_class(info.type)
                continue
            except MissingDependencyError as error:
                reason = str(error)
        logger.warning("%s goes out as %s instead of %s: %s", topic, POINT_CLOUD, info.type, reason)
        converters[topic] = EventCloudConverter(info.type)
    if converters:
        warm_up()  # compiles the decoders now rather than while the first messages are due
    return converters


def published_as(
    topics: Mapping[str, TopicInfo], converters: Mapping[str, EventCloudConverter]
) -> dict[str, TopicInfo]:
    """The topics with the types that they go out as."""
    return {
        topic: TopicInfo(POINT_CLOUD if topic in converters else info.type, info.count, info.offered_qos)
        for topic, info in topics.items()
    }


def outgoing(message: BagMessage, converters: Mapping[str, EventCloudConverter]) -> BagMessage:
    """A recorded message with the type and the bytes that go out.

    Raises:
        InvalidInputError: It cannot be converted.
    """
    if message.topic not in converters:
        return message
    return message._replace(type=POINT_CLOUD, data=converters[message.topic].convert(message.data))


class BagPlayer:
    """Plays the topics of some publishers.

    Args:
        bag: Where the messages are.
        publishers: Take them.
        converters: Of the topics that go out as point clouds.
        rate: Bag seconds a real second.
        wait: Waits up to so many real seconds between messages; it may return early, and pause or resume ``clock``.

    ``published`` and ``unusable`` count messages; ``worst_delay_ns`` is how late one went out at most, in real time.
    """

    def __init__(
        self,
        bag: BagReader,
        publishers: BagPublishers,
        converters: Mapping[str, EventCloudConverter],
        rate: float,
        wait: Callable[[float], None],
    ) -> None:
        self._bag, self._publishers, self._converters, self._rate, self._wait = bag, publishers, converters, rate, wait
        self.clock = PlaybackClock(rate)
        self.published = self.unusable = 0
        self.worst_delay_ns = 0

    def play(
        self,
        start_ns: int,
        stop_ns: int,
        publishing: Callable[[BagMessage], None],
        tick: Callable[[int], None] | None = None,
        tick_period: float | None = None,
    ) -> None:
        """Plays once.

        Args:
            start_ns: First recording stamp, inclusive.
            stop_ns: Last one, exclusive.
            publishing: Told of each message just before it goes out, with the bytes that go out.
            tick: Gets the bag's time every ``tick_period`` real seconds.
        """
        for converter in self._converters.values():
            converter.reset()
        self.clock.restart(start_ns)
        messages = self._bag.messages(self._publishers.topics, start_ns, stop_ns)
        for item in paced(messages, self.clock, self._wait, tick_period):
            if isinstance(item, int):
                if tick is not None:
                    tick(item)
                continue
            late_ns = self.clock.now_ns() - item.stamp_ns
            self.worst_delay_ns = max(self.worst_delay_ns, int(late_ns / self._rate))
            self._publish(item, publishing)

    def _publish(self, message: BagMessage, publishing: Callable[[BagMessage], None]) -> None:
        try:
            message = outgoing(message, self._converters)
        except (InvalidInputError, DataError) as error:
            self.unusable += 1
            logger.warning("a message of %s is left out (%d so far): %s", message.topic, self.unusable, error)
            return
        publishing(message)
        self._publishers.publish(message.topic, message.data)
        self.published += 1
