"""Storage of ROS 2 bags: one source for what rosbags can read, one for mcap files that were cut short.

Nothing of rosbags' or mcap's own errors leaves this module: whatever is wrong with a file becomes a DataError.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

import mcap.exceptions
import mcap.records
from mcap.stream_reader import StreamReader
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.metadata import parse_qos

from madm_core.errors import DataError

MCAP_MAGIC = b"\x89MCAP0\r\n"
_DEFINITION_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}


@dataclass(frozen=True)
class Channel:
    """A topic as one storage file knows it; ``count`` is its number of messages."""

    topic: str
    type: str
    count: int
    offered_qos: tuple[Qos, ...]
    definition: MessageDefinition


class BagMessage(NamedTuple):
    """One recorded message: ``stamp_ns`` is the time of recording, ``data`` the CDR bytes."""

    topic: str
    type: str
    stamp_ns: int
    data: bytes


class BagSource(Protocol):
    """Something that holds recorded messages."""

    channels: list[Channel]
    start_ns: int
    end_ns: int

    @property
    def warning(self) -> str | None:
        """What is wrong with it although it can be read."""
        ...

    def messages(self, topics: set[str], start_ns: int | None, stop_ns: int | None) -> Iterator[BagMessage]:
        """Messages of these topics with ``start_ns <= stamp < stop_ns``, in the order of their stamps."""
        ...

    def close(self) -> None:
        """Closes the files."""
        ...


class RosbagsSource:
    """A bag directory or an intact storage file, read by rosbags.

    Raises:
        DataError: rosbags cannot read it.
    """

    warning: str | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader = Reader(path)
            self._reader.open()
            self.channels = [
                Channel(link.topic, link.msgtype, link.msgcount, tuple(link.ext.offered_qos_profiles), link.msgdef)
                for link in self._reader.connections
            ]
            empty = self._reader.message_count == 0
            self.start_ns = 0 if empty else self._reader.start_time
            self.end_ns = 0 if empty else self._reader.end_time - 1
        except Exception as error:  # a damaged file makes the parsers fail in many ways
            raise DataError(f"the bag {path} cannot be read", got=str(error) or repr(error)) from error
        texts = [text for channel in self.channels for text in (channel.topic, channel.type)]
        numbers = [self.start_ns, self.end_ns, *(channel.count for channel in self.channels)]
        # rosbags passes on what metadata.yaml says, whatever type it has there.
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(number, int) for number in numbers):
            self.close()
            raise DataError(
                f"the metadata of the bag {path} cannot be used",
                got=[*texts, *numbers],
                expected="names and whole numbers",
                do="`ros2 bag reindex` the bag",
            )

    def messages(self, topics: set[str], start_ns: int | None, stop_ns: int | None) -> Iterator[BagMessage]:
        """See :class:`BagSource`. Raises DataError where the file turns out to be damaged."""
        links = [link for link in self._reader.connections if link.topic in topics]
        if not links:
            return
        records = self._reader.messages(links, start_ns, stop_ns)
        while True:
            try:
                link, stamp_ns, data = next(records)
            except StopIteration:
                return
            except Exception as error:
                raise DataError(
                    f"the bag {self._path} is damaged",
                    got=str(error) or repr(error),
                    do="recover it with `ros2 bag reindex`",
                ) from error
            yield BagMessage(link.topic, link.msgtype, stamp_ns, data)

    def close(self) -> None:
        """Closes the files; closing twice is allowed."""
        if self._reader.is_open:
            self._reader.close()


class _NoMoreThanThereIs:
    """A file that reads up to its end at most: Python would first allocate the 4 GiB that a damaged length asks for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes."""
        return self._file.read(max(0, min(size, self._size - self._file.tell())))


class StreamedMcapSource:
    """An mcap file read from its beginning to wherever it ends: for files without a valid end.

    A recorder that was killed leaves such a file. Messages come in the order of the file, which is the order of
    recording. The constructor reads the whole file once to count what is in it.

    Raises:
        DataError: It is no mcap file, or not even the first message can be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cut_at = ""
        counts: dict[tuple[str, str], int] = {}
        found: dict[tuple[str, str], Channel] = {}
        self.start_ns, self.end_ns = 0, 0
        for channel, stamp_ns, _ in self._records():
            key = (channel.topic, channel.type)
            self.start_ns = min(self.start_ns, stamp_ns) if counts else stamp_ns
            self.end_ns = max(self.end_ns, stamp_ns)
            counts[key] = counts.get(key, 0) + 1
            found[key] = channel
        if not counts:
            raise DataError(f"no message can be read from {path}", got=self._cut_at or "a file without messages")
        self.channels = [replace(channel, count=counts[key]) for key, channel in found.items()]
        self.warning: str | None = None
        if self._cut_at:
            self.warning = (
                f"{path.name} is cut short ({self._cut_at}): {sum(counts.values())} messages up to "
                f"{(self.end_ns - self.start_ns) / 1e9:.3f} s after its start are readable; what came later is lost"
            )

    def _records(self) -> Iterator[tuple[Channel, int, bytes]]:
        schemas: dict[int, mcap.records.Schema] = {}
        channels: dict[int, Channel] = {}
        with self._path.open("rb") as file:
            records = StreamReader(cast(BinaryIO, _NoMoreThanThereIs(file))).records
            while True:
                try:
                    record = next(records)
                except StopIteration:
                    return
                except Exception as error:  # the cut may be anywhere: inside a length, a chunk, a compressed block
                    reason = str(error) or type(error).__name__
                    self._cut_at = f"{reason} near byte {file.tell()} of {self._path.stat().st_size}"
                    return
                if isinstance(record, mcap.records.Schema):
                    schemas[record.id] = record
                elif isinstance(record, mcap.records.Channel) and record.message_encoding == "cdr":
                    channels[record.id] = _channel(record, schemas.get(record.schema_id))
                elif isinstance(record, mcap.records.Message) and record.channel_id in channels:
                    yield channels[record.channel_id], record.log_time, record.data

    def messages(self, topics: set[str], start_ns: int | None, stop_ns: int | None) -> Iterator[BagMessage]:
        """See :class:`BagSource`."""
        for channel, stamp_ns, data in self._records():
            in_range = (start_ns is None or stamp_ns >= start_ns) and (stop_ns is None or stamp_ns < stop_ns)
            if in_range and channel.topic in topics:
                yield BagMessage(channel.topic, channel.type, stamp_ns, data)

    def close(self) -> None:
        """Nothing stays open between two readings."""


def _channel(record: mcap.records.Channel, schema: mcap.records.Schema | None) -> Channel:
    definition = MessageDefinition(MessageDefinitionFormat.NONE, "")
    if schema is not None and schema.encoding in _DEFINITION_FORMATS:
        definition = MessageDefinition(_DEFINITION_FORMATS[schema.encoding], schema.data.decode(errors="replace"))
    qos = tuple(parse_qos(record.metadata.get("offered_qos_profiles", "")))
    return Channel(record.topic, schema.name if schema else "unknown", 0, qos, definition)


def mcap_is_complete(path: Path) -> bool:
    """Whether an mcap file of profile ``ros2`` begins and ends as it should, so that rosbags can use its index."""
    with path.open("rb") as file:
        head = file.read(64)
        file.seek(0, 2)
        file.seek(max(file.tell() - len(MCAP_MAGIC), 0))
        return head[:8] == MCAP_MAGIC and file.read() == MCAP_MAGIC and head[17:25] == b"\x04\x00\x00\x00ros2"


def open_storage_files(paths: Sequence[Path]) -> list[BagSource]:
    """One source for every storage file; what cannot be read closes the ones before it and raises DataError."""
    sources: list[BagSource] = []
    try:
        for path in paths:
            intact = path.suffix != ".mcap" or mcap_is_complete(path)
            sources.append(RosbagsSource(path) if intact else StreamedMcapSource(path))
    except DataError:
        for source in sources:
            source.close()
        raise
    return sources
