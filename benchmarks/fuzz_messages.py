"""Mutated sensor messages straight into the node's decode path: nothing may crash, hang, swell or go uncounted.

Messages are changed as bytes (bit flips, truncation, lengths, splices) and in their fields (sizes, encodings, steps,
times that make no sense). Each goes where the subscription's callback puts it, and frames go through decoding, the
modality's encoding and the publishers; only the network is a stand-in. Now and then good messages follow, and labels
have to come back: a bad message may cost itself and no other.

    python benchmarks/fuzz_messages.py [--messages 100000] [--seed 0] [--only TYPE] [--json FILE]
"""

from __future__ import annotations

import random
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fuzz_message_kinds import HEIGHT, KINDS, PERIOD_NS, WIDTH, Kind
from fuzzing import Findings, Limits, mutate, run_command, run_isolated
from processes import event_message_packages, isolate

from madm_core.labels import LabelSet
from madm_core.modalities import EventModality, Modality, modality_named

PROBE_EVERY = 250
"""After so many mutants good messages are sent."""
PROBES = 60
"""Labels must come back after at most so many good messages (1.2 s of a sensor at 50 Hz)."""


class DecodePath:
    """The node's way of one message, without transport and network: input, pipeline, publishers."""

    def __init__(self, kind: Kind, modality: Modality) -> None:
        from rclpy.context import Context
        from rclpy.node import Node

        from madm_ros.frame_statistics import FrameStatistics
        from madm_ros.inputs import ImageInput
        from madm_ros.node_parameters import NodeParameters
        from madm_ros.pipeline import Model, Pipeline
        from madm_ros.publishers import ResultPublishers
        from madm_ros.qos import input_qos
        from madm_ros.throttled_log import ThrottledLog

        self._context = Context()
        self._context.init()
        self._node = node = Node("fuzzed", context=self._context)
        self.statistics = FrameStatistics()
        warn = ThrottledLog(lambda line: None, lambda: 60.0)
        parameters = NodeParameters()
        label_set = LabelSet.named("madm11")
        publishers = ResultPublishers(node, lambda line: None)
        publishers.announce(label_set, 0.0)
        named: dict[str, Any] = {
            "offer": self._offer, "statistics": self.statistics, "warn": warn, "time_jump_s": lambda: 0.5
        }  # fmt: skip
        common = (node, "input", kind.type_name, input_qos("best_effort", 1))
        self.input: Any
        if isinstance(modality, EventModality):
            from madm_ros.event_input import EventInput

            size = {"point_cloud_size": (HEIGHT, WIDTH)}
            self.input = EventInput(*common, modality=modality, **size, **named)
        else:
            self.input = ImageInput(*common, **named)
        network = SimpleNamespace(segment=_segment, label_set=label_set)
        self.pipeline = Pipeline(
            Model(network, modality, 0.0), self.input, publishers, self.statistics,
            parameters=lambda: parameters, warn=warn, now_ns=lambda: 0,
        )  # fmt: skip

    def _offer(self, frame: Any) -> None:
        try:
            self.pipeline.handle(frame)
        except Exception as error:  # the node's worker counts it and goes on; here it is a finding
            self.statistics.rejected("internal", str(error))
            raise

    def close(self) -> None:
        """End the node."""
        self._node.destroy_node()
        self._context.try_shutdown()

    def receive(self, raw: bytes) -> str:
        """Give a message to the subscription's callback; says what the counters say happened."""
        before, (_, _, refused_before) = self.statistics.counts, self.statistics.messages
        self.input._on_message(raw)
        after, (_, _, refused) = self.statistics.counts, self.statistics.messages
        if after.pending > before.pending:
            return "problem: a frame that was neither published nor rejected"
        new_reasons = [key for key, number in refused.items() if number != refused_before.get(key, 0)]
        new_reasons += [key for key, number in after.rejected.items() if number != before.rejected.get(key, 0)]
        if "internal" in new_reasons:
            return f"problem: {self.statistics.last_problem}"
        if new_reasons:
            return f"rejected: {new_reasons[0]}"
        return "accepted" if after.published > before.published else "accepted without a frame"


def _segment(encoded: Any) -> SimpleNamespace:
    size = encoded.image.shape[:2]
    if not np.isfinite(encoded.image).all():
        raise AssertionError("the picture for the network holds values that are not finite")
    if encoded.image.min() < 0.0 or encoded.image.max() > 1.0:
        raise AssertionError("the picture for the network leaves [0, 1]")
    return SimpleNamespace(labels=np.full(size, 3, np.uint8), confidence=np.full(size, 0.5, np.float32))


class MessageCases:
    """Case number -> outcome, for one input type with decode paths of its own."""

    def __init__(self, kind: Kind, seed: int) -> None:
        warnings.simplefilter("error", RuntimeWarning)  # a warning for each bad message would fill somebody's disk
        self._kind, self._seed = kind, seed
        self._stamp_ns = 1_000_000_000_000
        self._paths = [DecodePath(kind, modality_named(name, {})) for name in kind.modalities]
        for path in self._paths:
            for _ in range(20):
                path.receive(self._good())

    def __call__(self, index: int) -> str:
        """Send mutant ``index``, or good messages when it is time for them."""
        path = self._paths[index % len(self._paths)]
        if index % PROBE_EVERY < len(self._paths):
            return self._probe(path)
        rng = random.Random(f"{self._kind.type_name} {self._seed} {index}")
        raw = self._good() if rng.random() < 0.4 else self._kind.make(self._stamp_ns + PERIOD_NS, rng)
        if rng.random() < 0.6:
            raw = mutate(raw, rng, self._good())
        outcome = path.receive(raw)
        if index % 97 == 0:
            path.input.tick()
        return outcome

    def close(self) -> None:
        """End the nodes."""
        for path in self._paths:
            path.close()

    def _good(self) -> bytes:
        self._stamp_ns += PERIOD_NS
        return self._kind.make(self._stamp_ns)

    def _probe(self, path: DecodePath) -> str:
        published = path.statistics.counts.published
        for number in range(1, PROBES + 1):
            outcome = path.receive(self._good())
            if outcome.startswith("problem"):
                return outcome
            if path.statistics.counts.published > published:
                return f"accepted: labels after {number} good messages"
        return f"problem: no labels after {PROBES} good messages: {path.statistics.last_problem}"


def fuzz(name: str, messages: int, seed: int) -> Findings:
    """Fuzz an input type with so many messages."""
    limits = Limits(seconds=2.0, memory_mib=512.0)
    return run_isolated(name, lambda: MessageCases(KINDS[name], seed), range(messages), limits)


def main() -> int:
    """Fuzz, print, write JSON if asked to; 1 when there is a problem."""
    isolate()
    sys.path += event_message_packages()
    what = "Mutated messages into the node's decode path."
    return run_command("fuzz_messages", what, "messages", 100_000, KINDS, fuzz)


if __name__ == "__main__":
    sys.exit(main())
