"""FMB (Liu et al., ICCV 2023): registered thermal and visible street pictures of day and night."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from madm_core.data.frames import Frames, list_images
from madm_core.data.published_sets import frame_files, require_label_set
from madm_core.labels import FMB_TO_MADM9, IGNORE, LabelSet

EXPECTED_COUNTS = {"train": 1220, "test": 280}


@dataclass(frozen=True)
class FmbConfig:
    """``kind: fmb``.

    Args:
        root: Folder with ``train/Infrared``, ``train/Label``, ``test/Infrared``, ``test/Label``.
        split: ``train`` or ``test``.
        use_labels: Pair the pictures with their labels; training as published leaves it off.
        resize: (height, width) before cropping.
    """

    root: Path
    split: Literal["train", "test"] = "train"
    use_labels: bool = False
    resize: tuple[int, int] | None = (512, 683)


def fmb_frames(config: FmbConfig, label_set: LabelSet) -> Frames:
    """Lists FMB's thermal pictures.

    Raises:
        DataError: Pictures or labels are missing.
        ConfigError: The label set is not the one FMB maps to.
    """
    require_label_set("FMB", label_set, "madm9")
    folder = config.root / config.split
    images = list_images(folder / "Infrared", "FMB thermal pictures")

    def labels_of(image: Path) -> Path:
        return folder / "Label" / f"{image.stem}.png"

    return Frames(
        f"FMB {config.split}",
        frame_files("FMB", images, labels_of if config.use_labels else None),
        label_map=FMB_TO_MADM9,
        known_ids=frozenset({*range(15), IGNORE}),
        resize=config.resize,
        expected_count=EXPECTED_COUNTS[config.split],
    )
