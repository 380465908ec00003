"""Cityscapes (Cordts et al., CVPR 2016): the labelled colour pictures that all published tasks start from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from madm_core.data.crops import Picture
from madm_core.data.frames import FrameFiles, Frames, list_images, read_label_file
from madm_core.errors import ConfigError, DataError
from madm_core.labels import (
    CITYSCAPES19,
    CITYSCAPES19_TO_MADM9,
    CITYSCAPES19_TO_MADM11,
    CITYSCAPES_IDS_TO_TRAIN_IDS,
    IGNORE,
    LabelMap,
    LabelSet,
)

EXPECTED_COUNTS = {"train": 2975, "val": 500}
_IMAGE_END = "_leftImg8bit.png"
_MAX_SIDE = 16384
_POLYGON_GROUPS = ("group",)
_TRAIN_IDS_BY_NAME = {name: class_id for class_id, name in enumerate(CITYSCAPES19.names)}


@dataclass(frozen=True)
class CityscapesConfig:
    """``kind: cityscapes``.

    Args:
        root: Folder with ``leftImg8bit/`` and ``gtFine/``.
        split: ``train`` or ``val``.
        resize: (height, width) before cropping; the published training halves the pictures.
    """

    root: Path
    split: Literal["train", "val"] = "train"
    resize: tuple[int, int] | None = (512, 1024)


def cityscapes_frames(config: CityscapesConfig, label_set: LabelSet) -> Frames:
    """Lists Cityscapes.

    Labels are read from ``*_labelTrainIds.png`` where they exist, else from ``*_labelIds.png``, else drawn from
    ``*_polygons.json``, so no other tool needs to have prepared the download.

    Raises:
        DataError: A folder or a label file is missing.
        ConfigError: There is no mapping from Cityscapes' classes to the label set.
    """
    maps = {"madm11": CITYSCAPES19_TO_MADM11, "madm9": CITYSCAPES19_TO_MADM9, "cityscapes19": _keep()}
    if label_set.name not in maps:
        raise ConfigError(
            "Cityscapes has no mapping to the label set",
            got=label_set.name,
            expected=", ".join(maps),
            do="use kind: folder with a mapping file",
        )
    images = [
        path
        for path in list_images(config.root / "leftImg8bit" / config.split, "Cityscapes pictures")
        if path.name.endswith(_IMAGE_END)
    ]
    files = [FrameFiles(image, _label_file(config, image)) for image in images]
    return Frames(
        f"Cityscapes {config.split}",
        files,
        label_map=maps[label_set.name],
        known_ids=frozenset({*CITYSCAPES19.ids, IGNORE}),
        resize=config.resize,
        read_labels=read_train_ids,
        expected_count=EXPECTED_COUNTS[config.split],
    )


def _keep() -> LabelMap:
    return LabelMap.from_pairs({}, "keep")


def _label_file(config: CityscapesConfig, image: Path) -> Path:
    folder = config.root / "gtFine" / config.split / image.parent.name
    stem = image.name.removesuffix(_IMAGE_END)
    names = [f"{stem}_gtFine_{kind}" for kind in ("labelTrainIds.png", "labelIds.png", "polygons.json")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"a Cityscapes picture has no labels: {image}",
        expected=f"one of {', '.join(names)} in {folder}",
        do="download gtFine_trainvaltest.zip",
    )


def read_train_ids(path: Path) -> Picture:
    """(H, W) uint8 ids of the 19 training classes, 255 elsewhere, of any of Cityscapes' three kinds of label files."""
    if path.suffix == ".json":
        return _draw_polygons(path)
    labels = read_label_file(path)
    if path.name.endswith("_labelIds.png"):
        return CITYSCAPES_IDS_TO_TRAIN_IDS.apply(labels)
    return labels


def _draw_polygons(path: Path) -> Picture:
    """Draws the objects of a polygon file, later ones over earlier ones, as Cityscapes' own scripts do."""
    try:
        annotation = json.loads(path.read_text(encoding="utf-8"))
        size = int(annotation["imgWidth"]), int(annotation["imgHeight"])
        if not all(0 < side <= _MAX_SIDE for side in size):
            raise ValueError(f"a picture of {size[0]}x{size[1]} pixels")
        canvas = Image.new("L", size, IGNORE)
        draw = ImageDraw.Draw(canvas)
        for item in annotation["objects"]:
            if item.get("deleted"):
                continue
            name = str(item["label"])
            for ending in _POLYGON_GROUPS:
                name = name.removesuffix(ending)
            polygon = [(float(x), float(y)) for x, y in item["polygon"]]
            draw.polygon(polygon, fill=_TRAIN_IDS_BY_NAME.get(name, IGNORE))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"cannot read {path}", got=f"{type(error).__name__}: {error}") from error
    return np.asarray(canvas, np.uint8)
