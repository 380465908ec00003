"""DELIVER (Zhang et al., CVPR 2023): depth pictures of the CARLA simulator, five weather conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from madm_core.data.frames import Frames, list_images
from madm_core.data.published_sets import frame_files, require_label_set
from madm_core.errors import DataError
from madm_core.labels import DELIVER_TO_MADM11, IGNORE, LabelSet

EXPECTED_COUNTS = {"train": 3983, "test": 1897}
_IMAGE_FOLDER, _LABEL_FOLDER = "depth", "semantic"
_IMAGE_WORD, _LABEL_WORD = "_depth_front", "_semantic_front"


@dataclass(frozen=True)
class DeliverConfig:
    """``kind: deliver``.

    Args:
        root: Folder with ``depth/<condition>/<split>/<sequence>/*_depth_front.png`` and the same below ``semantic/``.
        split: ``train``, ``val`` or ``test``.
        use_labels: Pair the pictures with their labels; training as published leaves it off.
        resize: (height, width) before cropping.
    """

    root: Path
    split: Literal["train", "val", "test"] = "train"
    use_labels: bool = False
    resize: tuple[int, int] | None = (712, 712)


def deliver_frames(config: DeliverConfig, label_set: LabelSet) -> Frames:
    """Lists DELIVER's depth pictures, which are logarithmic 8-bit encodings as the depth modality's default makes them.

    Raises:
        DataError: Pictures or labels are missing.
        ConfigError: The label set is not the one DELIVER maps to.
    """
    require_label_set("DELIVER", label_set, "madm11")
    images = [
        path
        for path in list_images(config.root / _IMAGE_FOLDER, "DELIVER depth pictures")
        if config.split in path.relative_to(config.root).parts
    ]
    if not images:
        raise DataError(f"DELIVER has no {config.split} pictures", got=config.root / _IMAGE_FOLDER)

    def labels_of(image: Path) -> Path:
        below = image.relative_to(config.root / _IMAGE_FOLDER)
        return config.root / _LABEL_FOLDER / below.parent / below.name.replace(_IMAGE_WORD, _LABEL_WORD)

    return Frames(
        f"DELIVER {config.split}",
        frame_files("DELIVER", images, labels_of if config.use_labels else None),
        label_map=DELIVER_TO_MADM11,
        known_ids=frozenset({*range(26), IGNORE}),
        resize=config.resize,
        expected_count=EXPECTED_COUNTS.get(config.split),
    )
