"""StreetWorld as a folder of pictures, for people and tools without ROS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from madm_core.errors import DataError
from madm_core.labels import MADM11
from madm_core.streetworld.drive import Instant


class FolderWriter:
    """Writes instants as files named by their stamp: ``rgb/``, ``depth/``, ``thermal/``, ``labels/``, ``instances/``
    (PNG), ``events/`` (npz).

    Depth is 16-bit millimetres with 0 for "not measured", thermal 16-bit counts, labels 8-bit ``madm11`` ids, instances
    16-bit numbers of vehicles and people with 0 for the rest, events the arrays x, y, t (ns), p. ``streetworld.json``
    says that this is synthetic, and how it was made.

    Args:
        path: Folder to create; it must be new or empty.
        description: Written to ``streetworld.json``.

    Raises:
        DataError: There is something in the folder.
    """

    def __init__(self, path: str | Path, description: dict[str, Any]) -> None:
        self.path = Path(path)
        self.count = 0
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise DataError(f"{self.path} is not empty", do="name a new folder")
        self.path.mkdir(parents=True, exist_ok=True)
        card = {"synthetic": True, "generator": "StreetWorld", "label_set": MADM11.to_dict(), **description}
        (self.path / "streetworld.json").write_text(json.dumps(card, indent=2) + "\n")

    def add(self, instant: Instant, stamp_ns: int) -> None:
        """Writes one instant."""
        if instant.rgb is not None:
            self._picture("rgb", stamp_ns, np.ascontiguousarray(instant.rgb[:, :, ::-1]))
        if instant.depth is not None:
            millimetres = np.clip(np.nan_to_num(instant.depth, nan=0.0) * 1000 + 0.5, 0, 65535)
            self._picture("depth", stamp_ns, millimetres.astype(np.uint16))
        if instant.thermal is not None:
            self._picture("thermal", stamp_ns, instant.thermal)
        if instant.events is not None:
            (self.path / "events").mkdir(exist_ok=True)
            x, y, t, p = (instant.events[name] for name in "xytp")
            np.savez_compressed(self.path / "events" / f"{stamp_ns}.npz", x=x, y=y, t=t, p=p)
        self._picture("labels", stamp_ns, instant.labels)
        self._picture("instances", stamp_ns, instant.instances)
        self.count += 1

    def _picture(self, kind: str, stamp_ns: int, picture: np.ndarray) -> None:
        folder = self.path / kind
        folder.mkdir(exist_ok=True)
        if not cv2.imwrite(str(folder / f"{stamp_ns}.png"), picture):
            raise DataError(f"{folder / f'{stamp_ns}.png'} cannot be written", do="check the free space of the disk")
