"""Ground-truth labels of a recording: on a topic of a bag, or as PNG files named by their stamp."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from madm_core.data.bag import COMPRESSED_IMAGE, IMAGE_TYPES, BagReader
from madm_core.data.message_types import header_stamp_ns
from madm_core.errors import DataError, InvalidInputError
from madm_core.labels import LabelMap, Labels, LabelSet
from madm_core.messages.image_arrays import compressed_image_to_array, image_to_array

_STAMP_NAMES = (
    re.compile(r"^(?P<ns>\d{10,})$"),
    re.compile(r"^(?P<sec>\d+)[._-](?P<nanosec>\d{9})$"),
)


class TrueLabels(NamedTuple):
    """Labels that are decoded only when they are needed."""

    stamp_ns: int
    load: Callable[[], Labels]


def labels_of_topic(
    bag: BagReader,
    topic: str,
    label_set: LabelSet,
    label_map: LabelMap | None = None,
    start_ns: int | None = None,
    stop_ns: int | None = None,
) -> Iterator[TrueLabels]:
    """Labels of a topic in the order of recording: ids (mono8, 8UC1, mono16, 16UC1) or colours of the palette (rgb8,
    bgr8).

    Args:
        bag: The bag.
        topic: A topic of sensor_msgs/Image or CompressedImage (a lossless one).
        label_set: For colours, and to check ids.
        label_map: Applied to ids.
        start_ns, stop_ns: Range of the recording times.

    Raises:
        DataError: The topic is not there or of another type.
    """
    info = bag.require_topic(topic, IMAGE_TYPES)
    for message in bag.messages([topic], start_ns, stop_ns):

        def load(data: bytes = message.data) -> Labels:
            decoded = bag.decode(data, info.type)
            if info.type == COMPRESSED_IMAGE:
                pixels, bgr = compressed_image_to_array(decoded), True
            else:
                pixels, bgr = image_to_array(decoded), decoded.encoding == "bgr8"
            return as_labels(pixels, label_set, label_map, bgr=bgr, name=f"topic {topic}")

        yield TrueLabels(header_stamp_ns(message.data), load)


def labels_of_folder(folder: Path, label_set: LabelSet, label_map: LabelMap | None = None) -> Iterator[TrueLabels]:
    """PNG files named ``<nanoseconds>.png``, ``<seconds>.<nanoseconds, 9 digits>.png`` or with ``_`` or ``-`` between.

    Raises:
        DataError: There is no folder, or no file of such a name in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", do="check --label-dir")
    files = {stamp: path for path in folder.glob("*.png") if (stamp := stamp_of_name(path.stem)) is not None}
    if not files:
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise DataError(
            f"{folder} holds no labels named by their stamp",
            got=names,
            expected="<nanoseconds>.png or <seconds>_<nanoseconds, 9 digits>.png",
        )
    for stamp_ns, path in sorted(files.items()):

        def load(path: Path = path) -> Labels:
            try:
                with Image.open(path) as picture:
                    pixels = np.array(picture)  # a palette picture holds ids
            except Exception as error:  # Pillow fails on damaged files in many ways, and on huge ones
                raise InvalidInputError(f"{path} cannot be read", reason="file", got=error) from error
            return as_labels(pixels, label_set, label_map, bgr=False, name=str(path))

        yield TrueLabels(stamp_ns, load)


def stamp_of_name(name: str) -> int | None:
    """Nanoseconds of a file name without its suffix, None for other names."""
    for pattern in _STAMP_NAMES:
        match = pattern.match(name)
        if match:
            groups = match.groupdict()
            return int(groups["ns"]) if "ns" in groups else int(groups["sec"]) * 10**9 + int(groups["nanosec"])
    return None


def as_labels(
    pixels: np.ndarray,
    label_set: LabelSet,
    label_map: LabelMap | None = None,
    *,
    bgr: bool = False,
    name: str = "labels",
) -> Labels:
    """Class ids of a label picture.

    Args:
        pixels: (H, W) uint8 or uint16 ids, or (H, W, 3 or 4) uint8 colours of the label set's palette.
        label_set: For colours, and to check ids.
        label_map: Applied to ids, not to colours.
        bgr: Colours are in the order blue, green, red.
        name: For errors.

    Raises:
        InvalidInputError: It is no label picture, or ids are not in the label set.
    """
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4) and pixels.dtype == np.uint8:
        colors = np.ascontiguousarray(pixels[:, :, 2::-1] if bgr else pixels[:, :, :3])
        return label_set.labels_from_colors(colors)
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise InvalidInputError(
            f"{name} is no label picture",
            reason="labels",
            got=f"{pixels.dtype} {pixels.shape}",
            expected="8- or 16-bit ids, or colours of the label set",
        )
    if pixels.dtype == np.uint16 and pixels.max(initial=0) > 255:
        raise InvalidInputError(f"{name} holds ids above 255", reason="ids", got=int(pixels.max()), expected="0 to 255")
    labels: Labels = pixels.astype(np.uint8)
    if label_map is not None:
        labels = label_map.apply(labels)
    foreign = sorted(set(np.unique(labels).tolist()) - {*label_set.ids, 255})
    if foreign:
        raise InvalidInputError(
            f"{name} holds ids outside the label set {label_set.name}",
            reason="ids",
            got=", ".join(str(class_id) for class_id in foreign[:10]),
            expected=f"0 to {len(label_set) - 1}, or 255",
            do="give --label-map FILE.yaml with lines `old: new`",
        )
    return labels
