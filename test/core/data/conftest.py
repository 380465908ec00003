"""Bags of ten pictures and ten numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madm_core.data.bag_writer import BagWriter
from madm_core.data.message_types import stamp_fields

START = 1_700_000_000_000_000_000
STEP = 100_000_000


def _image_fields(index: int) -> dict[str, Any]:
    pixels = np.random.default_rng(index).integers(0, 256, (60, 80), np.uint8)
    return {
        "header": {"stamp": stamp_fields(START + index * STEP), "frame_id": "camera"},
        "height": 60,
        "width": 80,
        "encoding": "mono8",
        "step": 80,
        "data": pixels.tobytes(),
    }


@pytest.fixture(scope="session")
def image_fields() -> Callable[[int], dict[str, Any]]:
    """The fields of the picture with this index, 60x80 mono8, ten a second from 1.7e18 ns on."""
    return _image_fields


@pytest.fixture(scope="session")
def write_bag() -> Callable[..., Path]:
    """Writes a bag with ``/camera/image`` and, a nanosecond later, ``/count``; options are those of BagWriter."""

    def write(path: Path, indices: Iterable[int] = range(10), **options: Any) -> Path:
        with BagWriter(path, **options) as bag:
            for index in indices:
                bag.add("/camera/image", "sensor_msgs/msg/Image", _image_fields(index), START + index * STEP)
                bag.add("/count", "std_msgs/msg/UInt32", {"data": index}, START + index * STEP + 1)
        return path

    return write
