"""Ways to decode events and to make voxel grids of them: ours, and those of the packages that are installed.

Each candidate gets the events in the form that it takes best. Peers come from PyPI (eventcv, tonic, evlib, evt3,
evutils) and need not be installed; torch and NumPy one-liners are what people write themselves.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from madm_core.events import EventDecoder, EventPacketFields, EventStream, EventWindow, voxel_grid

Candidates = dict[str, Callable[[], Any]]
OURS = "madm_ros"
PEERS = ("eventcv", "tonic", "evlib", "evt3", "evutils")
SLOW = ("tonic", "evlib")
"""Peers that are left out of the long rows: they take seconds each time, and are far from the fastest."""
PACKET_BYTES = 1 << 17


def find_peers() -> dict[str, Any]:
    """Import the optional peers; None for one that is not installed or does not load."""
    return {name: _peer(name) for name in PEERS}


def versions(peers: dict[str, Any]) -> dict[str, str]:
    """Versions of the peers that were found."""
    found = {}
    for name, module in peers.items():
        if module is not None:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "unknown"
    return found


def _peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a peer's own import may fail in any way
        print(f"{name} is left out: {error}", file=sys.stderr)
        return None


def torch_grid(
    x: torch.Tensor, y: torch.Tensor, t: torch.Tensor, p: torch.Tensor, bins: int, height: int, width: int
) -> torch.Tensor:
    """A voxel grid by two scatters, as people write it."""
    position = (t - t[0]).float() * ((bins - 1) / float(t[-1] - t[0]))
    lower = position.floor()
    later = position - lower
    sign = p.float() * 2 - 1
    index = lower.long() * (height * width) + y * width + x
    grid = torch.zeros((bins + 1) * height * width)
    grid.scatter_add_(0, index, sign * (1 - later))
    grid.scatter_add_(0, index + height * width, sign * later)
    return grid[: bins * height * width]


def voxel_candidates(events: np.ndarray, width: int, height: int, bins: int, peers: dict[str, Any]) -> Candidates:
    """Ways to make a voxel grid of arrays in the form that each takes best, ours also in other forms."""
    x, y, t, p = (np.ascontiguousarray(events[name]) for name in ("x", "y", "t", "p"))
    candidates: Candidates = {OURS: lambda: voxel_grid(x, y, t, p, bins=bins, height=height, width=width)}
    tensors = [torch.from_numpy(a.astype(np.int64)) for a in (x, y, t, p)]

    def numpy_bincount() -> np.ndarray:
        position = (t - t[0]) * ((bins - 1) / (t[-1] - t[0]))
        lower = position.astype(np.int64)
        later = position - lower
        sign = p * 2.0 - 1.0
        index = lower * (height * width) + y.astype(np.int64) * width + x
        size = (bins + 1) * height * width
        grid = np.bincount(index, sign * (1 - later), size)
        grid += np.bincount(index + height * width, sign * later, size + height * width)[:size]
        return grid[: bins * height * width].astype(np.float32)

    candidates[f"{OURS} (one array)"] = lambda: voxel_grid(
        events["x"], events["y"], events["t"], events["p"], bins=bins, height=height, width=width
    )
    candidates[f"{OURS} (int64 tensors)"] = lambda: voxel_grid(*tensors, bins=bins, height=height, width=width)
    candidates["torch scatter_add_"] = lambda: torch_grid(*tensors, bins, height, width)
    candidates["numpy bincount"] = numpy_bincount
    if peers["eventcv"] is not None:
        stream = peers["eventcv"].from_numpy(
            np.stack([x, y, t, p], 1).astype(np.int64), time_unit="us", sensor_size=(width, height)
        )
        candidates["eventcv"] = lambda: stream.voxel(bins=bins).numpy()
    if peers["tonic"] is not None:
        plain = np.zeros(len(t), [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i2")])
        plain["x"], plain["y"], plain["t"], plain["p"] = x, y, t, p
        to_voxel = importlib.import_module("tonic.functional").to_voxel_grid_numpy
        candidates["tonic"] = lambda: to_voxel(plain.copy(), (width, height, 2), bins)
    if peers["evlib"] is not None:
        polars = importlib.import_module("polars")
        frame = polars.DataFrame(
            {"x": x.astype(np.int16), "y": y.astype(np.int16), "t": t * 1e-6, "polarity": p.astype(np.int8)}
        )
        candidates["evlib"] = lambda: peers["evlib"].create_voxel_grid(frame.lazy(), height, width, bins)
    return candidates


def packet_candidates(
    data: bytes, width: int, height: int, bins: int, peers: dict[str, Any], folder: Path
) -> tuple[Candidates, Candidates]:
    """Ways to decode EVT 3.0, and ways from its packets to a grid."""
    packets = [np.frombuffer(data[i : i + PACKET_BYTES], np.uint8) for i in range(0, len(data), PACKET_BYTES)]
    raw = folder / f"events_{width}_{len(data)}.raw"
    raw.write_bytes(f"% evt 3.0\n% format EVT3;height={height};width={width}\n% end\n".encode() + data)

    def decode() -> int:
        decoder = EventDecoder("evt3", width, height)
        return sum(len(decoder.decode(packet)) for packet in packets)

    stream = EventStream(EventWindow(duration_ms=60.0), bins)

    def to_grid() -> Any:
        stream.reset()
        for seq, packet in enumerate(packets):
            stream.add(EventPacketFields("evt3", packet, width, height, seq, 0, 1 + seq), None)
        return stream.finish()[-1].grid

    decoding: Candidates = {OURS: decode}
    grids: Candidates = {OURS: to_grid}
    ecv, rust, evutils = peers["eventcv"], peers["evt3"], peers["evutils"]
    if rust is not None:
        decoding["evt3"] = lambda: rust.decode_bytes(data)
    if evutils is not None:
        reader = importlib.import_module("evutils.io").EventReader

        def read_all() -> list[Any]:
            return list(reader(str(raw)))

        decoding["evutils (file)"] = read_all
    if ecv is not None:
        decoding["eventcv (file)"] = lambda: ecv.load(str(raw))
        grids["eventcv (file)"] = lambda: ecv.load(str(raw)).voxel(bins=bins).numpy()
    for name, function in (("evt3", rust), ("evutils", evutils)):
        if function is None:
            continue

        def combined(name: str = name) -> Any:
            if name == "evt3":
                found = rust.decode_bytes(data)
                columns = [
                    np.asarray(found.x),
                    np.asarray(found.y),
                    np.asarray(found.timestamp),
                    np.asarray(found.polarity),
                ]
            else:
                parts = list(reader(str(raw)))
                columns = [np.concatenate([np.asarray(part[key]) for part in parts]) for key in ("x", "y", "t", "p")]
            return torch_grid(*(torch.from_numpy(column.astype(np.int64)) for column in columns), bins, height, width)

        grids[f"{name} + torch"] = combined
    return decoding, grids
