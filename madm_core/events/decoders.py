"""From the bytes of a sensor's encoding to arrays of events, with state that outlives a packet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import InvalidInputError
from madm_core.events import evt2, evt3, libcaer, mono
from madm_core.events.event_array import EVENT_DTYPE, TRIGGER_DTYPE, as_words, read_only
from madm_core.events.foreign_decoder import ForeignDecoder

MAX_SENSOR_SIDE = 32768
MAX_HOST_NS = (1 << 31) * 1_000_000_000
"""End of the times that a ROS stamp can hold; sums beyond it would leave 64 bits."""
NO_TRIGGERS = np.empty(0, TRIGGER_DTYPE)


@dataclass(frozen=True)
class Encoding:
    """What a decoder must know of an encoding besides its bits."""

    kernel: Callable[..., tuple[int, int, int]]
    word: str
    """NumPy type of a word as sent by a little-endian host."""
    max_events_per_word: int
    tick_ns: int
    """Length of one unit of ``t`` in nanoseconds: 1000 for a sensor clock, 1 for host time."""
    wrap_ticks: int = 0
    """Period of the sensor's clock, 0 where ``t`` is absolute."""
    swap_halves: bool = False
    host_byte_order: bool = False
    """True where the sending host writes words in its own byte order rather than the sensor's."""


ENCODINGS = {
    "evt3": Encoding(evt3.decode_evt3, "<u2", evt3.MAX_EVENTS_PER_WORD, 1000, evt3.WRAP_TICKS),
    "evt2": Encoding(evt2.decode_evt2, "<u4", evt2.EVT2_MAX_EVENTS_PER_WORD, 1000, evt2.WRAP_TICKS),
    "evt2.1": Encoding(evt2.decode_evt21, "<u8", evt2.EVT21_MAX_EVENTS_PER_WORD, 1000, evt2.WRAP_TICKS),
    "evt2.1_legacy": Encoding(
        evt2.decode_evt21, "<u8", evt2.EVT21_MAX_EVENTS_PER_WORD, 1000, evt2.WRAP_TICKS, swap_halves=True
    ),
    "mono": Encoding(mono.decode_mono, "<u8", mono.MAX_EVENTS_PER_WORD, 1, host_byte_order=True),
    "libcaer": Encoding(libcaer.decode_libcaer, "<u8", libcaer.MAX_EVENTS_PER_WORD, 1),
    "libcaer_cmp": Encoding(libcaer.decode_libcaer_cmp, "<u2", libcaer.MAX_EVENTS_PER_WORD, 1, host_byte_order=True),
}
"""Encodings decoded here. ``evt2.1_legacy`` sends the upper half of each 64-bit word first (IMX636)."""

ALIASES = {"evt21": "evt2.1", "evt21_legacy": "evt2.1_legacy"}


class EventDecoder:
    """Decoder of one stream; remembers clock, coordinates and a word cut by the end of a chunk.

    Args:
        encoding: A name in :data:`ENCODINGS`, ``"evt21"``, or any other that event_camera_py, when installed, decodes.
        width: Sensor width in pixels.
        height: Sensor height in pixels.

    Raises:
        InvalidInputError: Unknown encoding (``reason="encoding"``) or impossible sensor size (``reason="size"``).
    """

    def __init__(self, encoding: str, width: int, height: int) -> None:
        if not (0 < width < MAX_SENSOR_SIDE and 0 < height < MAX_SENSOR_SIDE):
            raise InvalidInputError(
                "the sensor size of an event packet is impossible",
                reason="size",
                got=f"{width}x{height}",
                expected=f"1 to {MAX_SENSOR_SIDE - 1} pixels a side",
                do="check the camera driver's geometry",
            )
        self.encoding = ALIASES.get(encoding, encoding)
        self.width = width
        self.height = height
        self.triggers: NDArray[np.void] = NO_TRIGGERS
        """TRIGGER_DTYPE (M,): the external trigger edges found by the last :meth:`decode`."""
        self.truncated_bytes = 0
        self._format = ENCODINGS.get(self.encoding)
        self._foreign = None if self._format else ForeignDecoder(self.encoding, width, height, list(ENCODINGS))
        self._registers = np.zeros(8, np.int64)
        self._partial_word = b""
        self._trigger_buffer = np.zeros(64, TRIGGER_DTYPE)
        self._scratch = np.empty((0, 2), np.int64)

    @property
    def tick_ns(self) -> int:
        """Nanoseconds in one unit of the decoded ``t``."""
        return self._format.tick_ns if self._format else 1000

    @property
    def wrap_ticks(self) -> int:
        """Period of the sensor's clock in ticks; 0 where times are absolute."""
        return self._format.wrap_ticks if self._format else 0

    @property
    def current_tick(self) -> int | None:
        """The sensor's clock where decoding stands; None where it is unknown or the encoding sends none."""
        if self.encoding == "evt3" and self._registers[evt3.TIME_KNOWN] == 2:
            return int(self._registers[evt3.TIME_HIGH] | self._registers[evt3.TIME_LOW])
        if self.wrap_ticks == evt2.WRAP_TICKS and self._registers[evt2.TIME_KNOWN]:
            return int(self._registers[evt2.TIME_HIGH]) << 6
        return None

    @property
    def out_of_frame(self) -> int:
        """Events dropped so far because their pixel lies outside the sensor."""
        return int(self._registers[6])

    @property
    def invalid_words(self) -> int:
        """Words skipped so far because their type does not exist in this encoding."""
        return int(self._registers[7])

    def decode(self, data: Any, time_base: int = 0, *, big_endian: bool = False) -> NDArray[np.void]:
        """Decode the next bytes of the stream.

        Args:
            data: bytes, memoryview or uint8 array; may end inside a word.
            time_base: The packet's ``time_base`` (ns; us for libcaer_cmp; ignored by the EVT encodings).
            big_endian: The packet's ``is_bigendian``; concerns the encodings that hosts write themselves.

        Returns:
            EVENT_DTYPE (N,), owned by the caller. ``t`` is in microseconds for EVT encodings, else nanoseconds.
        """
        words = self.decode_words(data, time_base, big_endian=big_endian)
        events = np.empty(len(words), EVENT_DTYPE)
        as_words(events)[:] = words
        return events

    def decode_words(self, data: Any, time_base: int = 0, *, big_endian: bool = False) -> NDArray[np.int64]:
        """Do what :meth:`decode` does without allocating memory.

        Returns:
            (N, 2) int64 words of events, see :func:`madm_core.events.event_array.as_words`; valid until the next call.
        """
        if self._format is None:
            assert self._foreign is not None
            found, self.triggers = self._foreign.decode(data, time_base)
            return read_only(as_words(found))
        base_ns = time_base * (1000 if self.encoding == "libcaer_cmp" else 1)
        if self.wrap_ticks:
            time_base = 0  # not used, and may hold anything
        elif not 0 <= base_ns < MAX_HOST_NS:
            raise InvalidInputError(
                "the time base of an event packet is impossible",
                reason="time",
                got=f"{time_base} ({base_ns / 1e9:.4g} s)",
                expected=f"below {MAX_HOST_NS // 10**9} s, the range of a ROS stamp",
                do="check the camera driver's clock",
            )
        words = self._take_words(data, big_endian)
        self.triggers = NO_TRIGGERS
        size = len(words) + self._format.max_events_per_word
        if len(self._scratch) < size:
            self._scratch = np.empty((size, 2), np.int64)
        n, position = self._fill(words, 0, time_base, 0)
        while position < len(words):
            larger = np.empty((2 * len(self._scratch) + size, 2), np.int64)
            larger[:n] = self._scratch[:n]
            self._scratch = larger
            n, position = self._fill(words, position, time_base, n)
        return read_only(self._scratch[:n])

    def drop_partial_word(self) -> int:
        """Forget bytes of an unfinished word, as at the end of a truncated packet; returns and counts them."""
        dropped = len(self._partial_word)
        self._partial_word = b""
        self.truncated_bytes += dropped
        return dropped

    def mark_gap(self) -> None:
        """Tell that data was lost: events are skipped until the stream has stated the time anew."""
        self._partial_word = b""
        if self._format is not None and self._format.wrap_ticks:
            self._registers[evt3.TIME_KNOWN] = 0
            if self.encoding == "evt3":
                self._registers[evt3.ROW] = MAX_SENSOR_SIDE  # of no sensor, until the stream names a row

    def add_wraps(self, wraps: int) -> None:
        """Move the sensor clock forward by ``wraps`` periods that passed unseen during a gap."""
        if self.encoding == "evt3":
            self._registers[evt3.TIME_HIGH] += wraps * evt3.WRAP_TICKS
        elif self.wrap_ticks:
            self._registers[evt2.TIME_HIGH] += wraps * (self.wrap_ticks >> 6)

    def _take_words(self, data: Any, big_endian: bool) -> NDArray[Any]:
        assert self._format is not None
        raw = np.frombuffer(data, np.uint8)
        word_bytes = int(self._format.word[-1])
        if self._partial_word:
            raw = np.concatenate([np.frombuffer(self._partial_word, np.uint8), raw])
        whole = len(raw) - len(raw) % word_bytes
        self._partial_word = raw[whole:].tobytes()
        raw = raw[:whole]
        if self._format.swap_halves:
            return read_only(np.ascontiguousarray(raw.view("<u4").reshape(-1, 2)[:, ::-1]).view("<u8").reshape(-1))
        words = raw.view(self._format.word)
        if big_endian and self._format.host_byte_order:
            words = words.byteswap()
        if not words.flags.aligned:
            words = words.copy()
        return read_only(words)

    def _fill(self, words: NDArray[Any], position: int, time_base: int, n: int) -> tuple[int, int]:
        """Decode from ``position`` until the words end or the scratch memory is full, collecting all triggers."""
        assert self._format is not None
        while True:
            position, added, edges = self._format.kernel(
                words,
                position,
                time_base,
                self.width,
                self.height,
                self._registers,
                self._scratch[n:],
                as_words(self._trigger_buffer),
            )
            n += added
            if edges:
                self.triggers = np.concatenate([self.triggers, self._trigger_buffer[:edges]])
            if edges < len(self._trigger_buffer) or position == len(words):
                return n, position


def decode_events(
    encoding: str,
    data: Any,
    width: int,
    height: int,
    state: EventDecoder | None = None,
    time_base: int = 0,
) -> tuple[NDArray[np.void], EventDecoder]:
    """Decode one packet or chunk of an event stream.

    Args:
        encoding: ``evt3``, ``evt2``, ``evt2.1``, ``mono``, ``libcaer``, ``libcaer_cmp``; others through
            event_camera_py when it is installed.
        data: Bytes; chunks may be cut anywhere when ``state`` is passed on.
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        state: What the previous call returned; None starts a stream.
        time_base: The packet's ``time_base`` field.

    Returns:
        Events (EVENT_DTYPE: x, y uint16, t int64, p uint8 0/1) and the state to pass on; its ``triggers`` holds the
        external trigger edges of this chunk. ``t`` is in microseconds; in nanoseconds for mono and libcaer.

    Raises:
        InvalidInputError: Unknown encoding, impossible size, or a state of another stream.
    """
    if state is None:
        state = EventDecoder(encoding, width, height)
    elif (ALIASES.get(encoding, encoding), width, height) != (state.encoding, state.width, state.height):
        raise InvalidInputError(
            "an event packet differs from its stream",
            reason="size" if ALIASES.get(encoding, encoding) == state.encoding else "encoding",
            got=f"{encoding} {width}x{height}",
            expected=f"{state.encoding} {state.width}x{state.height}",
            do="use one decoder state for each camera",
        )
    return state.decode(data, time_base), state
