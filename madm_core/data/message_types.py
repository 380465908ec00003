"""ROS 2 message layouts without ROS: CDR bytes to objects and back (rosbags' type store).

The store knows the interfaces of ROS 2 Jazzy, the event camera messages, and whatever a bag defines itself.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat, Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from madm_core.errors import DataError
from madm_core.messages.event_messages import EVENT_MESSAGE_DEFINITIONS

_STAMP_BYTES = 12  # 4 of encapsulation, then builtin_interfaces/Time: int32 sec, uint32 nanosec


class MessageTypes:
    """Decodes and encodes messages by their type name, ``"sensor_msgs/msg/Image"``."""

    def __init__(self) -> None:
        self._store: Typestore = get_typestore(Stores.ROS2_JAZZY)
        for name, text in EVENT_MESSAGE_DEFINITIONS.items():
            self._register(name, get_types_from_msg(text, name))

    def __contains__(self, type_name: str) -> bool:
        return type_name in self._store.fielddefs

    def add_definition(self, type_name: str, definition: MessageDefinition) -> None:
        """Learns a type (and the types inside it) that a bag defines; known types stay as they are.

        Raises:
            DataError: The definition cannot be parsed.
        """
        if type_name in self or definition.format is MessageDefinitionFormat.NONE:
            return
        try:
            if definition.format is MessageDefinitionFormat.MSG:
                self._register(type_name, get_types_from_msg(definition.data, type_name))
            else:
                self._register(type_name, get_types_from_idl(definition.data))
        except Exception as error:  # rosbags' parser raises whatever the text provokes
            raise DataError(f"the bag's definition of {type_name} cannot be parsed", got=error) from error

    def _register(self, _name: str, types: Any) -> None:
        # The store writes Python classes of what it is given and runs them: names must be nothing but names.
        for type_name, (constants, fields) in types.items():
            words = [*type_name.split("/"), *(entry[0] for entry in (*constants, *fields))]
            if not all(re.fullmatch(r"[A-Za-z]\w*", word, re.ASCII) for word in words):
                raise DataError(f"the message type {type_name!r} has a name that is none", got=words)
        self._store.register({name: fields for name, fields in types.items() if name not in self._store.fielddefs})

    def decode(self, data: bytes | memoryview, type_name: str) -> Any:
        """Reads a message: an object with the message's fields, number arrays as numpy arrays.

        Raises:
            DataError: The type is unknown, or the bytes do not fit it.
        """
        self._require(type_name)
        try:
            return self._store.deserialize_cdr(data, type_name)
        except Exception as error:  # generated code fails in many ways on bytes that are cut or of another type
            raise DataError(f"a message is not a valid {type_name}", got=f"{len(data)} bytes, {error!r}") from error

    def encode(self, type_name: str, fields: Mapping[str, Any]) -> bytes:
        """Writes a message from nested mappings; a field that is not given is zero, empty or false, as in ROS.

        Raises:
            DataError: The type or a field is unknown, or a value does not fit.
        """
        self._require(type_name)
        try:
            return bytes(self._store.serialize_cdr(self._build(type_name, fields), type_name))
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"these fields cannot be written as {type_name}", got=repr(error)) from error

    def definition(self, type_name: str) -> tuple[str, str]:
        """The complete ``.msg`` text of a type (with the types inside it) and its REP-2016 hash."""
        self._require(type_name)
        return self._store.generate_msgdef(type_name, ros_version=2)[0], self._store.hash_rihs01(type_name)

    def has_header(self, type_name: str) -> bool:
        """Whether messages of this (known) type begin with a ``std_msgs/Header``."""
        fields = self._store.fielddefs[type_name][1] if type_name in self else []
        return bool(fields) and fields[0][1] == (Nodetype.NAME, "std_msgs/msg/Header")

    def _require(self, type_name: str) -> None:
        if type_name not in self:
            raise DataError(
                f"the message type {type_name} is unknown",
                expected="a type of the ROS 2 common interfaces, an event camera type or one that the bag defines",
                do="record the bag as mcap, which stores the definitions",
            )

    def _build(self, type_name: str, fields: Mapping[str, Any]) -> Any:
        layout = self._store.fielddefs[type_name][1]
        unknown = set(fields) - {name for name, _ in layout}
        if unknown:
            raise DataError(f"{type_name} has no field '{sorted(unknown)[0]}'", expected=[name for name, _ in layout])
        values = {name: self._value(kind, fields.get(name)) for name, kind in layout}
        return cast(Any, self._store.types[type_name])(**values)

    def _value(self, kind: Any, value: Any) -> Any:
        node, detail = kind
        if node is Nodetype.BASE:
            default: Any = "" if detail[0] == "string" else False if detail[0] == "bool" else 0
            return default if value is None else value
        if node is Nodetype.NAME:
            return value if hasattr(value, "__msgtype__") else self._build(detail, value or {})
        element, length = detail
        if element[0] is Nodetype.BASE and element[1][0] != "string":
            items = np.zeros(length if node is Nodetype.ARRAY else 0) if value is None else value
            if isinstance(items, (bytes, bytearray, memoryview)):
                return np.frombuffer(items, np.uint8)
            dtype = {"byte": "uint8", "char": "uint8"}.get(element[1][0], element[1][0])
            return np.ascontiguousarray(items, dtype=dtype)
        if value is None:
            value = [None] * (length if node is Nodetype.ARRAY else 0)
        return [self._value(element, item) for item in value]


@functools.lru_cache(maxsize=1)
def standard_types() -> MessageTypes:
    """The shared :class:`MessageTypes` of everything that is known without a bag."""
    return MessageTypes()


def stamp_fields(stamp_ns: int) -> dict[str, int]:
    """``builtin_interfaces/Time`` fields of a time in nanoseconds since the epoch."""
    return {"sec": int(stamp_ns // 1_000_000_000), "nanosec": int(stamp_ns % 1_000_000_000)}


def header_stamp_ns(data: bytes | memoryview) -> int:
    """The header stamp of a serialized message that begins with a ``std_msgs/Header``, without decoding the message.

    Raises:
        DataError: The message is shorter than a header.
    """
    if len(data) < _STAMP_BYTES:
        raise DataError("a message is too short to hold a header", got=f"{len(data)} bytes")
    little_endian = data[1] & 1
    sec, nanosec = struct.unpack_from("<iI" if little_endian else ">iI", data, 4)
    return int(sec) * 1_000_000_000 + int(nanosec)
