"""Unlabelled frames straight from recordings: every n-th message of a topic, encoded once and kept as pictures.

A bag can only be read from front to back, while training draws frames in any order. So the frames are encoded in
recording order, which also lets event windows and thermal ranges run as they do in the node, and written to a cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from madm_core.config import to_mapping
from madm_core.data.bag import IMAGE_TYPES, BagReader
from madm_core.data.crops import Picture
from madm_core.data.event_frames import EVENT_TYPES, event_pictures
from madm_core.data.frames import FrameFiles, Frames
from madm_core.errors import ConfigError, DataError, InvalidInputError
from madm_core.messages.image_arrays import single_channel
from madm_core.modalities import EventModality, Modality
from madm_core.modalities.base import EncodedImage

logger = logging.getLogger(__name__)

_LIST = "frames.json"
_FORMAT = 3
"""Of the cache; another number makes it anew. 2: an alpha channel marks pixels without a measurement. 3: no colour."""


@dataclass(frozen=True)
class BagConfig:
    """``kind: bag``.

    Args:
        bags: One or several recordings, read one after the other.
        topic: Image topic, or for events the topic of their packets.
        stride: Take every n-th frame (for events: every n-th window).
        start_s: Where to begin in each recording, in seconds from its start.
        stop_s: Where to end, in seconds from its start; None = at its end.
        max_frames: Stop after so many frames; None = no limit.
        resize: See ``Frames``.
        sensor_size: (height, width) of an event camera whose events come as PointCloud2, which does not carry it.
    """

    bags: tuple[Path, ...]
    topic: str
    stride: int = 1
    start_s: float = 0.0
    stop_s: float | None = None
    max_frames: int | None = None
    resize: tuple[int, int] | None = None
    sensor_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.bags:
            raise ConfigError("no bag is named", do="list at least one under bags")
        if self.stride < 1 or (self.max_frames is not None and self.max_frames < 1):
            raise ConfigError("stride and max_frames of a bag", got=f"{self.stride}, {self.max_frames}", expected="1..")
        if self.start_s < 0 or (self.stop_s is not None and self.stop_s <= self.start_s):
            raise ConfigError(
                "the time range of the bag is empty",
                got=f"start_s={self.start_s}, stop_s={self.stop_s}",
                expected="0 <= start_s < stop_s",
            )


def bag_frames(config: BagConfig, modality: Modality, cache: Path, *, progress: bool = True) -> Frames:
    """Encodes the frames of recordings, or takes them from the cache of an earlier run.

    Args:
        config: Which frames.
        modality: How they become pictures.
        cache: Folder for the pictures; a sub-folder is named after everything they depend on.
        progress: Show a progress bar.

    Raises:
        DataError: A bag cannot be read, lacks the topic, has it in another type, or has no usable frame in the range.
    """
    folder = cache / "bag_frames" / _key(config, modality)
    if not (folder / _LIST).is_file():
        _extract(config, modality, folder, progress)
    names = json.loads((folder / _LIST).read_text(encoding="utf-8"))
    title = f"{config.topic} of {', '.join(str(bag) for bag in config.bags)}"
    return Frames(title, [FrameFiles(folder / name) for name in names], resize=config.resize, alpha_marks_valid=True)


def _key(config: BagConfig, modality: Modality) -> str:
    content = {key: value for key, value in to_mapping(config).items() if key != "resize"}
    files = [file for bag in config.bags for file in (sorted(bag.iterdir()) if bag.is_dir() else [bag])]
    stats = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.exists()]
    text = json.dumps([_FORMAT, content, modality.to_dict(), stats], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _extract(config: BagConfig, modality: Modality, folder: Path, progress: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        names: list[str] = []
        refused: dict[str, int] = {}
        pictures = _pictures(config, modality, refused)
        for picture in tqdm(pictures, desc=f"frames of {config.topic}", unit="frame", disable=not progress):
            name = f"{len(names):06d}.png"
            if not cv2.imwrite(str(unfinished / name), picture[:, :, [2, 1, 0, 3][: picture.shape[2]]]):
                raise DataError(f"cannot write {unfinished / name}", do="check free space and permissions")
            names.append(name)
            if len(names) == config.max_frames:
                break
        for reason, count in refused.items():
            logger.warning("%d messages on %s were left out: %s", count, config.topic, reason)
        if not names:
            raise DataError(
                f"no usable frame on {config.topic}",
                got=next(iter(refused)) if refused else "no message in the time range",
                expected=f"messages between start_s={config.start_s} and stop_s={config.stop_s}",
                do="check the time range against `ros2 bag info`",
            )
        (unfinished / _LIST).write_text(json.dumps(names), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)
    except OSError as error:
        raise DataError(f"cannot write the frames to {folder.parent}", got=error, do="free some space") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _pictures(config: BagConfig, modality: Modality, refused: dict[str, int]) -> Iterator[Picture]:
    """Every ``stride``-th frame of every bag as a (H, W, 3) uint8 picture, or (H, W, 4) where alpha 0 marks holes."""
    modality = modality.replace({})
    types = EVENT_TYPES if isinstance(modality, EventModality) else IMAGE_TYPES
    for bag in config.bags:
        modality.reset()
        with BagReader(bag) as reader:
            info = reader.require_topic(config.topic, types)
            start = reader.start_ns + round(config.start_s * 1e9)
            stop = None if config.stop_s is None else reader.start_ns + round(config.stop_s * 1e9)
            messages = ((data, reader) for _, _, _, data in reader.messages([config.topic], start, stop))
            if isinstance(modality, EventModality):
                frames = event_pictures(messages, info.type, modality, refused, sensor_size=config.sensor_size)
            else:
                frames = _images(messages, info.type, modality, refused)
            for index, picture in enumerate(frames):
                if index % config.stride == 0:
                    yield picture


def _images(
    messages: Iterator[tuple[Any, BagReader]], type_name: str, modality: Modality, refused: dict[str, int]
) -> Iterator[Picture]:
    named: dict[str, str] = {}
    for data, reader in messages:
        try:
            # As the node takes them: a model must not learn from pictures that it will never see.
            yield _with_holes(modality.encode(single_channel(reader.decode_image(data, type_name))))
        except (InvalidInputError, DataError) as error:
            # By the first of its kind: the numbers in it differ from frame to frame.
            reason = named.setdefault(error.what, str(error))
            refused[reason] = refused.get(reason, 0) + 1


def _with_holes(encoded: EncodedImage) -> Picture:
    picture: Picture = np.round(encoded.image * 255).astype(np.uint8)
    if encoded.valid is None or encoded.valid.all():
        return picture
    return np.dstack([picture, np.where(encoded.valid, 255, 0).astype(np.uint8)])
