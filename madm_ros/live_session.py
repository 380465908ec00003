"""One playing of a bag through a node: waits for the node, sends, receives, and notices when something is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus

from madm_core.data.bag_storage import BagMessage
from madm_core.data.message_types import header_stamp_ns
from madm_core.errors import DataError, WorkError
from madm_core.evaluation.live_matching import LiveAnswers
from madm_core.evaluation.live_scoring import LivePlay
from madm_ros.bag_player import BagPlayer
from madm_ros.bag_publishers import BagPublishers
from madm_ros.live_listener import LiveListener
from madm_ros.live_topics import NodeTopics, describe_topics
from madm_ros.node_process import NodeProcess

_PATIENCE_S = 5.0
"""How long answers may stay away after the last message, when the node has nothing more to do."""
_DISCOVERY_S = 10.0
_COUNTERS_S = 5.0


class _StoppedError(Exception):
    """Somebody wants the playing to end."""


@dataclass
class LiveSession:
    """Sends messages and takes the answers; everything happens in the thread that calls :meth:`run`.

    Args:
        listener: Hears the node.
        own: The node's process, if it was started for this.
        topics: The node's.
        answers: Where the answers are kept.
        timeout_s: How long the node may be silent.
        stop: Asked often; True ends the playing.
    """

    listener: LiveListener
    own: NodeProcess | None
    topics: NodeTopics
    answers: LiveAnswers
    timeout_s: float
    stop: Callable[[], bool]

    def __post_init__(self) -> None:
        self._player: BagPlayer | None = None
        self._play: LivePlay | None = None
        self._sent: dict[int, int] = {}
        self._last_sent = 0
        self._looked_s = self._heard_s = time.monotonic()

    def run(self, player: BagPlayer, publishers: BagPublishers, play: LivePlay, start_ns: int, stop_ns: int) -> None:
        """Plays everything and fills ``play``.

        Raises:
            WorkError: The node ended, failed, or never answered.
            DataError: There was nothing to play.
        """
        self._player, self._play = player, play
        try:
            self._wait_for_node(publishers)
            play.transport = describe_topics(self.listener.node, self.topics)
            self.listener.on_labels = self._on_labels
            self._heard_s = time.monotonic()
            player.play(start_ns, stop_ns, self._publishing)
            if not self._sent:
                raise DataError("there is nothing to play", got="no message of the topic in this part of the bag")
            self._wait_for_answers()
            self._wait_for_counters()
        except _StoppedError:
            play.interrupted = True
        play.published, play.late_ms = player.published, player.worst_delay_ns / 1e6
        play.answered = self.answers.count
        play.node_values = self._input_values

    def wait(self, seconds: float) -> None:
        """Listens for up to so many seconds."""
        self.listener.spin(max(seconds, 0.0))
        now = time.monotonic()
        if now - self._looked_s < 0.1:
            return
        self._looked_s = now
        if self.stop():
            raise _StoppedError
        if self.own is not None:
            self.own.require_alive()
        if self._sent and not self.answers.count and now - self._heard_s > self.timeout_s:
            raise self._silence()

    def _wait_for_node(self, publishers: BagPublishers) -> None:
        end = time.monotonic() + self.timeout_s
        while not (self.listener.connected and self.listener.node.count_subscribers(self.topics.input)):
            self.wait(0.1)
            level, message, _ = self.listener.status.get("model", (DiagnosticStatus.OK, "", {}))
            if level == DiagnosticStatus.ERROR:
                raise WorkError(f"the node {self.topics.node} does not work", got=message, do="mend it and start again")
            # A node that was started here may load for minutes: it is alive, and says so in its log.
            if self.own is None and time.monotonic() > end:
                raise self._silence()
        publishers.wait_for_subscribers(publishers.topics, _DISCOVERY_S)

    def _publishing(self, message: BagMessage) -> None:
        for _ in range(4):  # what has come is taken even when the bag leaves no time between messages
            self.wait(0.0)
        if not self._sent:
            self._heard_s = time.monotonic()
        self._last_sent = header_stamp_ns(message.data)
        self._sent[self._last_sent] = time.monotonic_ns()

    def _on_labels(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        assert self._player is not None and self._play is not None
        stamp_ns = header_stamp_ns(data)
        age_ns = self._player.clock.now_ns() - stamp_ns
        self._heard_s = now_ns / 1e9
        self.answers.add_labels(data)
        self._play.ages_ms.append(age_ns / 1e6)
        sent_ns = self._sent.get(stamp_ns)
        if sent_ns is not None:
            self._play.latencies_ms.append((now_ns - sent_ns) / 1e6)

    def _wait_for_answers(self) -> None:
        """Until the last message is answered, or the node has nothing to do and stays silent."""
        assert self._play is not None
        patience = max(_PATIENCE_S, 5e-3 * max(self._play.latencies_ms, default=0.0))
        while not (self.answers.has(self._last_sent) and self.answers.complete):
            self.wait(0.1)
            silent_s = time.monotonic() - self._heard_s
            busy = self._input_values.get("frames_pending", "0") != "0"
            if not self.answers.count:
                continue  # wait() gives up after the timeout
            if silent_s > (max(patience, self.timeout_s) if busy else patience):
                return

    def _wait_for_counters(self) -> None:
        """Until the node's diagnostics, which come now and then, know of the last answer."""
        end = time.monotonic() + _COUNTERS_S
        while "frames_published" in self._input_values and time.monotonic() < end:
            if int(self._input_values["frames_published"]) >= self.answers.count:
                return
            self.wait(0.1)

    @property
    def _input_values(self) -> dict[str, str]:
        """The node's counters, as far as they are known."""
        return self.listener.status.get("input", (b"", "", {}))[2]

    def _silence(self) -> WorkError:
        """Why nothing comes back, as far as it can be seen from here."""
        parts = [f"{len(self._sent)} messages sent and no labels after {self.timeout_s:g} s"]
        parts += [f"{topic}: {text}" for topic, text in describe_topics(self.listener.node, self.topics).items()]
        _, message, values = self.listener.status.get("input", (b"", "no diagnostics", {}))
        counters = ("messages_received", "frames_received", "frames_published", "frames_rejected", "last_rejection")
        parts.append(f"node: {message}; " + ", ".join(f"{name} {values[name]}" for name in counters if name in values))
        if self.own is not None:
            parts.append(f"its log ends: {self.own.last_words()}")
        return WorkError(
            f"no labels came from the node {self.topics.node}",
            got="; ".join(parts),
            do="check its state, topic and model, or raise --live-timeout when the network is slow",
        )
