"""Writing ROS 2 bags without ROS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from madm_core.data.message_types import MessageTypes, standard_types
from madm_core.errors import DataError

_UNLIMITED = QosTime(2147483647, 4294967295)
_VERSION = 8  # of metadata.yaml: what ROS 2 Humble to Kilted read


def offered_qos(*, reliable: bool, depth: int, transient_local: bool = False) -> Qos:
    """The QoS profile a publisher is recorded with."""
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if transient_local else QosDurability.VOLATILE,
        _UNLIMITED,
        _UNLIMITED,
        QosLiveliness.AUTOMATIC,
        _UNLIMITED,
        False,
    )


class BagWriter:
    """Writes a new bag directory, readable by ``ros2 bag`` of Humble and later.

    Args:
        path: Directory to create; it must not exist.
        storage: ``"mcap"`` or ``"sqlite3"``.
        compress: zstd: mcap by chunk, sqlite3 by message.
        types: Layouts beyond the standard ones, e.g. ``BagReader.message_types`` when copying a bag.

    Raises:
        DataError: The directory exists or cannot be written.

    Use it as a context manager: the index is written at its end, after Ctrl-C as well. After an
    exception the messages so far stay in the file, without an index.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        storage: Literal["mcap", "sqlite3"] = "mcap",
        *,
        compress: bool = False,
        types: MessageTypes | None = None,
    ) -> None:
        self.path = Path(path)
        self.count = 0
        self._types = types or standard_types()
        self._connections: dict[str, Connection] = {}
        plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        try:
            self._writer = Writer(self.path, version=_VERSION, storage_plugin=plugin)
            if compress:
                mode = CompressionMode.STORAGE if storage == "mcap" else CompressionMode.MESSAGE
                self._writer.set_compression(mode, CompressionFormat.ZSTD)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise DataError(f"the bag {self.path} cannot be written", got=error, do="name a new directory") from error

    def add_topic(self, topic: str, type_name: str, qos: Qos | None = None) -> None:
        """Announces a topic; needed only for its QoS, or for a topic that may stay without messages.

        Raises:
            DataError: The topic is known with another type, or the type is unknown.
        """
        known = self._connections.get(topic)
        if known is not None:
            if known.msgtype != type_name:
                raise DataError(f"topic {topic} cannot hold two types", got=type_name, expected=known.msgtype)
            return
        text, digest = self._types.definition(type_name)
        self._connections[topic] = self._writer.add_connection(
            topic, type_name, msgdef=text, rihs01=digest, offered_qos_profiles=[qos] if qos else []
        )

    def add(
        self, topic: str, type_name: str, message: bytes | bytearray | memoryview | Mapping[str, Any], stamp_ns: int
    ) -> None:
        """Appends a message.

        Args:
            topic: Name of the topic.
            type_name: E.g. ``"sensor_msgs/msg/Image"``.
            message: CDR bytes, or the fields as nested mappings (see :meth:`MessageTypes.encode`).
            stamp_ns: Time of recording in nanoseconds since the epoch.

        Raises:
            DataError: The fields do not fit the type, or the disk is full.
        """
        self.add_topic(topic, type_name)
        data = self._types.encode(type_name, message) if isinstance(message, Mapping) else message
        try:
            self._writer.write(self._connections[topic], int(stamp_ns), bytes(data))
        except OSError as error:
            raise DataError(f"the bag {self.path} cannot be written", got=error.strerror) from error
        self.count += 1

    def close(self) -> None:
        """Writes the index and ``metadata.yaml``."""
        self._writer.close()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.close()  # whoever stops a recording wants to use it
        else:
            self._writer.__exit__(kind, error, trace)
