"""Prophesee's RAW (EVT 2.0, 2.1, 3.0) and DAT files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import DataError
from madm_core.events.decoders import ENCODINGS, EventDecoder
from madm_core.events.event_array import EVENT_DTYPE
from madm_core.events.event_file import CHUNK_EVENTS, EventFile

RAW_CHUNK_BYTES = 1 << 20
_DAT_WORD = np.dtype([("t", "<u4"), ("data", "<u4")])
_FIRST_LITTLE_ENDIAN_SYSTEM = 0x37
"""Prophesee numbers its systems, and RAW files name the number; that of an EVK3 with an IMX636 is 0x31."""


def open_raw(path: Path) -> EventFile:
    """Open a RAW file; its header must name the format and the sensor's size.

    Raises:
        DataError: No header, no size, or a format that is not EVT 2.0, 2.1 or 3.0.
    """
    header, offset = _read_header(path)
    fields = dict(part.split("=", 1) for part in header.get("format", "").split(";")[1:] if "=" in part)
    name = header.get("format", "").split(";")[0].lower() or f"evt{header.get('evt', '')}"
    encoding = {"evt2": "evt2", "evt2.0": "evt2", "evt21": "evt2.1", "evt2.1": "evt2.1", "evt3": "evt3"}.get(
        name.removesuffix(".0") if name == "evt3.0" else name
    )
    if encoding is None:
        raise DataError(
            f"{path}: the format of a RAW file is unknown", got=repr(name), expected="EVT2, EVT21 or EVT3 in its header"
        )
    if encoding == "evt2.1" and _halves_are_swapped(header, fields):
        encoding = "evt2.1_legacy"
    if fields.get("width", "").isdecimal() and fields.get("height", "").isdecimal():
        width, height = int(fields["width"]), int(fields["height"])
    else:
        width, height = _geometry(path, header)
    return EventFile(width, height, _raw_chunks(path, offset, EventDecoder(encoding, width, height)))


def open_dat(path: Path) -> EventFile:
    """Open a DAT file of change-detection events, version 2 (32 bits of microseconds, 14 of x, 14 of y, 4 of p).

    Raises:
        DataError: No header, no size, or events of another kind.
    """
    header, offset = _read_header(path)
    width, height = _geometry(path, header)
    with path.open("rb") as file:
        file.seek(offset)
        kind = file.read(2)
    if len(kind) < 2 or kind[1] != _DAT_WORD.itemsize:
        raise DataError(
            f"{path}: not a DAT file of events",
            got=f"event type and size {kind.hex() or 'missing'}",
            expected=f"events of {_DAT_WORD.itemsize} bytes",
        )
    return EventFile(width, height, _dat_chunks(path, offset + 2))


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """Return the lines ``% name value`` and the offset of what follows them."""
    header: dict[str, str] = {}
    with path.open("rb") as file:
        while True:
            offset = file.tell()
            if file.read(1) != b"%":
                break
            line = file.readline(4096).decode("ascii", "replace").strip()
            name, _, value = line.partition(" ")
            if name.lower() == "end":
                offset = file.tell()
                break
            header[name.lower()] = value.strip()
    if not header:
        raise DataError(
            f"{path}: no header", expected="lines starting with %", do="check that this is a Prophesee file"
        )
    return header, offset


def _halves_are_swapped(header: dict[str, str], fields: dict[str, str]) -> bool:
    """Whether the upper half of each 64-bit word of EVT 2.1 comes first, by the rules of Prophesee's OpenEB.

    A field of the format or a line of its own tells the byte order. Headers that have neither are swapped when they are
    old: without a line ``format``, or of one of Prophesee's systems that only sent swapped words.
    """
    order = fields.get("endianness") or header.get("endianness")
    if order:
        return order == "legacy"
    maker = header.get("camera_integrator_name") or header.get("integrator_name") or "Prophesee"
    system = header.get("system_id", "")
    is_old = maker == "Prophesee" and system.isdecimal() and 0 < int(system) < _FIRST_LITTLE_ENDIAN_SYSTEM
    return is_old or "format" not in header


def _geometry(path: Path, header: dict[str, str]) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)\s*x\s*(\d+)", header.get("geometry", ""))
    if match:
        return int(match[1]), int(match[2])
    if header.get("width", "").isdigit() and header.get("height", "").isdigit():
        return int(header["width"]), int(header["height"])
    raise DataError(
        f"{path}: the header does not tell the sensor's size",
        got=", ".join(header),
        expected="'geometry WxH', or 'width' and 'height'",
        do="add a line such as '% geometry 640x480' before '% end'",
    )


def _raw_chunks(path: Path, offset: int, decoder: EventDecoder) -> Iterator[NDArray[np.void]]:
    assert decoder.encoding in ENCODINGS
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(RAW_CHUNK_BYTES):
            yield decoder.decode(data)


def _dat_chunks(path: Path, offset: int) -> Iterator[NDArray[np.void]]:
    wraps, last = 0, 0
    with path.open("rb") as file:
        file.seek(offset)
        while len(words := _read_words(file)):
            t = words["t"].astype(np.int64)
            # The clock has 32 bits: a fall by more than half its range is a wrap.
            falls = np.diff(t, prepend=last) < -(1 << 31)
            last = int(t[-1])
            events = np.zeros(len(words), EVENT_DTYPE)
            events["t"] = t + ((wraps + np.cumsum(falls)) << 32)
            wraps += int(falls.sum())
            events["x"] = words["data"] & 0x3FFF
            events["y"] = (words["data"] >> 14) & 0x3FFF
            events["p"] = (words["data"] >> 28) & 1
            yield events


def _read_words(file: BinaryIO) -> NDArray[np.void]:
    data = file.read(CHUNK_EVENTS * _DAT_WORD.itemsize)
    return np.frombuffer(data, _DAT_WORD, len(data) // _DAT_WORD.itemsize)
