"""Judging whether the node's results can be relied on, and saying once when that begins and once when it is over.

No ROS in here. What is judged: :data:`madm_ros.node_parameters.CHECKS`; from which values on: parameters.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from madm_core.labels import LabelSet
from madm_core.modalities.input_statistics import InputStatistics
from madm_ros.node_parameters import NodeParameters
from madm_ros.recent_frames import FrameFacts

_PACKET_SPAN_S = 5.0


class Watchdog:
    """Remembers which checks have found something, and logs only changes.

    Args:
        warn: Takes (kind, text) when something begins.
        info: Takes the text that it is over.
        now_s: A clock that never goes back.
    """

    def __init__(
        self,
        warn: Callable[[str, str], object],
        info: Callable[[str], object],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warn = warn
        self._info = info
        self._now_s = now_s
        self._since_s: dict[str, float] = {}
        self._last_s: dict[str, float] = {}

    def note(self, findings: Mapping[str, str], quiet_s: float) -> None:
        """Log what is new in ``findings``, and what has not been found for ``quiet_s`` as over.

        Args:
            findings: Check -> what it found, at this moment.
            quiet_s: A value that swings about its limit is one problem, not a hundred.
        """
        now_s = self._now_s()
        for check, text in findings.items():
            if check not in self._since_s:
                self._since_s[check] = now_s
                self._warn(check, f"{_words(check)}: {text}")
            self._last_s[check] = now_s
        for check in [check for check in self._since_s if check not in findings]:
            if now_s - self._last_s[check] >= quiet_s:
                lasted_s = self._last_s.pop(check) - self._since_s.pop(check)
                self._info(f"{_words(check)} is over; it lasted {lasted_s:.1f} s")

    def forget(self) -> None:
        """The node listens no more: nothing is over, but nothing is wrong either."""
        self._since_s.clear()
        self._last_s.clear()


def _words(check: str) -> str:
    return check.replace("_", " ")


class PacketLoss:
    """Share of event packets that were lost during the last seconds, from counters that only grow.

    Args:
        now_s: A clock that never goes back.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._kept: deque[tuple[float, int, int]] = deque()

    def share(self, packets: int, lost: int) -> float:
        """Lost packets in all packets since five seconds ago.

        Args:
            packets: Packets decoded so far.
            lost: Packets missing so far.
        """
        now_s = self._now_s()
        if self._kept and (packets < self._kept[-1][1] or lost < self._kept[-1][2]):
            self._kept.clear()  # another stream's counters
        self._kept.append((now_s, packets, lost))
        while len(self._kept) > 2 and now_s - self._kept[1][0] >= _PACKET_SPAN_S:
            self._kept.popleft()
        _, packets_before, lost_before = self._kept[0] if len(self._kept) > 1 else (0.0, 0, 0)
        missing = lost - lost_before
        return missing / max(missing + packets - packets_before, 1)


def judge_frames(
    recent: FrameFacts, parameters: NodeParameters, label_set: LabelSet, trained: InputStatistics | None
) -> dict[str, str]:
    """What is wrong with the frames of the last seconds: check -> got and expected, in words.

    Args:
        recent: What is usual of them.
        parameters: Hold the limits; a limit of 0 is not checked.
        label_set: Names the classes.
        trained: What the model was trained with; None when its directory does not say it.
    """
    found: dict[str, str] = {}
    limit_s = parameters.max_inference_s
    if 0 < limit_s < recent.inference_s:
        found["slow_inference"] = (
            f"the network takes {recent.inference_s:.2f} s a frame; expected {limit_s:g} s at most"
        )
    lowest = parameters.min_mean_confidence
    if recent.confidence is not None and lowest > 0 and not recent.confidence >= lowest:  # NaN is low, too
        found["low_confidence"] = f"mean confidence {recent.confidence:.2f}; expected {lowest:g} or more"
    if recent.top_class is not None and 0 < parameters.max_class_share < recent.top_share:
        name = label_set.name_of(recent.top_class)  # a network may answer with classes that are not named
        found["class_collapse"] = (
            f"{recent.top_share:.1%} of all pixels are {name!r}; expected {parameters.max_class_share:.1%} at most"
        )
    skew_s = recent.arrival_age_s
    if skew_s is not None and 0 < parameters.max_clock_skew_s < abs(skew_s):
        found["clock_skew"] = (
            f"stamps are {abs(skew_s):.1f} s {'behind' if skew_s > 0 else 'ahead of'} this node's clock; expected "
            f"{parameters.max_clock_skew_s:g} s at most: synchronise the clocks, or set use_sim_time for a recording"
        )
    if trained is not None and parameters.max_input_deviation > 0:
        far = {name: value for name, value in trained.deviations(recent.picture).items()
               if value > parameters.max_input_deviation}  # fmt: skip
        if far:
            found["unusual_input"] = "pictures are unlike those that the model was trained with: " + ", ".join(
                f"{name} {recent.picture[name]:.2f}, {value:.0f} spreads from {trained.mean[name]:.2f}"
                for name, value in sorted(far.items(), key=lambda item: -item[1])
            )
    return found
