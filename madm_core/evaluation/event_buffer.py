"""The events of a recording around a time that moves forward."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from madm_core.data.bag import BagReader
from madm_core.data.event_topics import EventMessageReader
from madm_core.errors import InvalidInputError
from madm_core.evaluation.match_counts import MatchCounts


class EventBuffer:
    """Reads an event topic as far as the windows that are asked for, and forgets what no later window can need.

    Args:
        bag: The recording.
        topic, type_name: The event topic and its message type.
        counts: Gets messages that cannot be read or jump back in time.
        start_ns, stop_ns: Range of the recording times.
    """

    def __init__(
        self, bag: BagReader, topic: str, type_name: str, counts: MatchCounts, start_ns: int | None, stop_ns: int | None
    ) -> None:
        self._messages = bag.messages([topic], start_ns, stop_ns)
        self._reader = EventMessageReader(type_name)
        self._counts = counts
        self._batches: list[npt.NDArray[np.void]] = []
        self._first_ns: int | None = None
        self._last_ns = -(2**62)
        self.size: tuple[int, int] | None = None

    def window(self, end_ns: int, window_ns: int | None, most: int | None) -> npt.NDArray[np.void] | None:
        """Events before ``end_ns``, at most ``window_ns`` old and ``most`` in number; None outside the recording."""
        while self._last_ns < end_ns and self._read_one():
            pass
        if self._first_ns is None or end_ns <= self._first_ns or self._last_ns < end_ns - (window_ns or 0):
            return None
        self._forget(end_ns, window_ns, most)
        events = np.concatenate(self._batches) if self._batches else np.zeros(0, [("t", "i8")])
        events = events[events["t"] < end_ns]
        if window_ns is not None:
            events = events[events["t"] >= end_ns - window_ns]
        return events[-most:] if most is not None else events

    def _read_one(self) -> bool:
        message = next(self._messages, None)
        if message is None:
            return False
        try:
            batch = self._reader.read(message.data)
        except InvalidInputError as error:
            self._counts.cannot_use(error)
            return True
        self.size = batch.size or self.size
        if len(batch.events):
            first, last = int(batch.events["t"].min()), int(batch.events["t"].max())
            if last < self._last_ns - 1_000_000_000:
                self._counts.out_of_order += 1
                return True
            self._first_ns = first if self._first_ns is None else self._first_ns
            self._last_ns = max(self._last_ns, last)
            self._batches.append(batch.events)
        return True

    def _forget(self, end_ns: int, window_ns: int | None, most: int | None) -> None:
        """Drops batches that no later window can need."""
        kept = len(self._batches)
        if window_ns is not None:
            while kept > 1 and int(self._batches[-kept]["t"].max()) < end_ns - window_ns:
                kept -= 1
        elif most is not None:
            usable = sum(int((batch["t"] < end_ns).sum()) for batch in self._batches)
            while kept > 1 and usable - len(self._batches[-kept]) >= most:
                usable -= len(self._batches[-kept])
                kept -= 1
        self._batches = self._batches[len(self._batches) - kept :]
