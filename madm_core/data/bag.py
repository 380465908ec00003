"""Reading ROS 2 bags without ROS: sqlite3 and mcap, split, compressed, and as far as possible broken ones."""

from __future__ import annotations

import heapq
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt
from rosbags.interfaces import MessageDefinition, Qos

from madm_core.config import nearest, read_yaml_mapping
from madm_core.data.bag_storage import (
    BagMessage,
    BagSource,
    Channel,
    RosbagsSource,
    mcap_is_complete,
    open_storage_files,
)
from madm_core.data.message_types import MessageTypes
from madm_core.errors import ConfigError, DataError
from madm_core.messages.image_arrays import compressed_image_to_array, image_to_array

logger = logging.getLogger(__name__)

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)

_STORAGE_SUFFIXES = (".mcap", ".db3")


@dataclass(frozen=True)
class TopicInfo:
    """What a bag holds on one topic.

    Args:
        type: Message type name, e.g. ``"sensor_msgs/msg/Image"``.
        count: Number of messages.
        offered_qos: QoS profiles that the recorded publishers offered; empty where the bag does not say.
    """

    type: str
    count: int
    offered_qos: tuple[Qos, ...] = ()


class BagReader:
    """Reads one bag, or several as if they were one, in the order of recording.

    Args:
        path: A bag directory, a single ``.mcap`` or ``.db3`` file, or a sequence of those. Split bags, bags compressed
            by file or by message (zstd) and mcap files cut short by a crash are read; the latter up to the cut, with a
            warning.

    Raises:
        DataError: It is no bag, or none that can be read; the message lists what is there instead.

    ``topics`` maps names to :class:`TopicInfo`; ``start_ns`` and ``end_ns`` are the stamps of the first and last
    message (0 in an empty bag); ``warnings`` says what is wrong with a bag that can still be used. Usable as a context
    manager.
    """

    def __init__(self, path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> None:
        paths = [Path(path)] if isinstance(path, (str, os.PathLike)) else [Path(part) for part in path]
        if not paths:
            raise DataError("no bag was named", expected="a bag directory or an .mcap or .db3 file")
        self.path = paths[0]
        self._sources: list[BagSource] = []
        self._types = MessageTypes()
        self._definitions: dict[str, MessageDefinition] = {}
        self.topics: dict[str, TopicInfo] = {}
        try:
            for part in paths:
                self._sources.extend(_open_bag(part))
            for channel in (channel for source in self._sources for channel in source.channels):
                self._add_channel(channel)
        except DataError:
            self.close()
            raise
        self.warnings = [source.warning for source in self._sources if source.warning]
        for warning in self.warnings:
            logger.warning("%s", warning)
        filled = [source for source in self._sources if source.end_ns > 0]
        self.start_ns = min((source.start_ns for source in filled), default=0)
        self.end_ns = max((source.end_ns for source in filled), default=0)

    def _add_channel(self, channel: Channel) -> None:
        known = self.topics.get(channel.topic)
        if known is not None and known.type != channel.type:
            raise DataError(
                f"topic {channel.topic} changes its type within the bag", got=f"{known.type} and {channel.type}"
            )
        qos = known.offered_qos if known and known.offered_qos else channel.offered_qos
        self.topics[channel.topic] = TopicInfo(channel.type, channel.count + (known.count if known else 0), qos)
        # Parsed when a message of the type is decoded: a definition that nobody needs must not spoil the bag.
        self._definitions[channel.type] = channel.definition

    @property
    def message_count(self) -> int:
        """Messages on all topics."""
        return sum(topic.count for topic in self.topics.values())

    @property
    def message_types(self) -> MessageTypes:
        """The message layouts, including those that only this bag defines.

        Raises:
            DataError: A definition in the bag cannot be parsed.
        """
        for type_name, definition in self._definitions.items():
            self._types.add_definition(type_name, definition)
        return self._types

    def messages(
        self, topics: Collection[str] | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Yields ``(topic, type, stamp_ns, data)`` in the order of the recording stamps.

        Memory stays flat however large the bag is.

        Args:
            topics: Only these; None for all.
            start_ns: First stamp, inclusive.
            stop_ns: Last stamp, exclusive.

        Raises:
            DataError: A topic is not in the bag (the message lists what is), or the storage is damaged.
        """
        wanted = set(self.topics) if topics is None else set(topics)
        for topic in sorted(wanted):
            self.require_topic(topic)
        streams = [source.messages(wanted, start_ns, stop_ns) for source in self._sources]
        return streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda message: message.stamp_ns)

    def require_topic(self, topic: str, types: Collection[str] = ()) -> TopicInfo:
        """The topic's info.

        Args:
            topic: Name of the topic.
            types: Accepted message types; empty accepts all.

        Raises:
            DataError: The topic is not there, or of another type.
        """
        if topic not in self.topics:
            raise DataError(
                f"topic {topic} is not in the bag {self.path}",
                got=self.describe(),
                do=nearest(topic, list(self.topics)) if self.topics else None,
            )
        info = self.topics[topic]
        if types and info.type not in types:
            raise DataError(f"topic {topic} has the wrong type", got=info.type, expected=" or ".join(sorted(types)))
        return info

    def decode(self, data: bytes, type_name: str) -> Any:
        """The message object of CDR bytes; see :meth:`MessageTypes.decode`."""
        if type_name in self._definitions:
            self._types.add_definition(type_name, self._definitions[type_name])
        return self._types.decode(data, type_name)

    def decode_image(self, data: bytes, type_name: str) -> npt.NDArray[Any]:
        """The pixels of a serialized message of :data:`IMAGE_TYPES`.

        Raises:
            InvalidInputError: The message is damaged, or its encoding is not known.
        """
        message = self.decode(data, type_name)
        return compressed_image_to_array(message) if type_name == COMPRESSED_IMAGE else image_to_array(message)

    def describe(self) -> str:
        """One line with every topic, its type and its number of messages."""
        if not self.topics:
            return "a bag without topics"
        return ", ".join(f"{name} ({info.type}, {info.count})" for name, info in sorted(self.topics.items()))

    def close(self) -> None:
        """Closes all files."""
        for source in self._sources:
            source.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_bag(path: Path) -> list[BagSource]:
    if not path.exists():
        beside = _listing(path.parent) if path.parent.is_dir() else f"no directory {path.parent} either"
        raise DataError(f"there is no bag {path}", got=f"in {path.parent}: {beside}", do="check the path")
    if path.is_dir():
        return _open_directory(path)
    if path.name == "metadata.yaml":
        return _open_directory(path.parent)
    if path.suffix not in _STORAGE_SUFFIXES:
        advice = "convert a ROS 1 bag with `rosbags-convert --src in.bag --dst out`" if path.suffix == ".bag" else None
        raise DataError(f"{path} is not a ROS 2 bag", expected="a bag directory or an .mcap or .db3 file", do=advice)
    if path.stat().st_size == 0:
        raise DataError(f"the bag file {path} is empty", got="0 bytes", do="record it again")
    return open_storage_files([path])


def _open_directory(path: Path) -> list[BagSource]:
    files = sorted(file for file in path.iterdir() if file.suffix in _STORAGE_SUFFIXES)
    if not (path / "metadata.yaml").exists():
        advice = "`ros2 bag reindex` it"
        if files:
            advice += f", or give the storage file itself, e.g. {files[0]}"
        raise DataError(
            f"{path} has no metadata.yaml" if files else f"{path} is not a ROS 2 bag",
            got=_listing(path),
            expected="metadata.yaml and .mcap or .db3 files",
            do=advice if files else "give the directory that `ros2 bag record` wrote",
        )
    try:
        metadata = read_yaml_mapping(path / "metadata.yaml").get("rosbag2_bagfile_information")
    except ConfigError as error:
        raise DataError(f"the metadata of the bag {path} cannot be read", got=error) from error
    if not isinstance(metadata, dict):
        raise DataError(f"{path / 'metadata.yaml'} is not the metadata of a ROS 2 bag", do="`ros2 bag reindex` the bag")
    if metadata.get("storage_identifier") not in ("mcap", "sqlite3"):
        kinds = {".mcap": "mcap", ".db3": "sqlite3"}
        found = sorted({kinds[file.suffix] for file in files})
        raise DataError(
            f"the bag {path} does not name a storage that can be read",
            got=f"storage_identifier: {metadata.get('storage_identifier')!r}; files: {_listing(path)}",
            expected="mcap or sqlite3",
            do=f"set storage_identifier: {found[0]} in metadata.yaml"
            if len(found) == 1
            else "`ros2 bag reindex` the bag",
        )
    listed = metadata.get("relative_file_paths") or []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise DataError(
            f"the metadata of the bag {path} cannot be used", got=listed, expected="a list of names of its files"
        )
    names = [Path(name).name for name in listed]
    missing = [name for name in names if not os.path.exists(path / name)]  # False, too, for names that cannot be
    if missing:
        raise DataError(f"files of the bag {path} are missing", got=_listing(path), expected=", ".join(missing))
    parts = [path / name for name in names]
    if any(part.suffix == ".mcap" and not mcap_is_complete(part) for part in parts):
        return open_storage_files(parts)
    return [RosbagsSource(path)]


def _listing(directory: Path, limit: int = 12) -> str:
    entries = sorted(directory.iterdir())
    shown = [
        f"{entry.name}/" if entry.is_dir() else f"{entry.name} ({entry.stat().st_size} bytes)" for entry in entries
    ]
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more if shown else "an empty directory"
