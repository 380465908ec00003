"""Frames of a StreetWorld folder (``street_world`` writes it): synthetic, with labels for every sensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from madm_core.data.frames import FrameFiles, Frames, read_label_file
from madm_core.errors import ConfigError, DataError
from madm_core.events import voxel_grid
from madm_core.labels import IGNORE, LabelMap, LabelSet
from madm_core.modalities import EventModality, Modality


@dataclass(frozen=True)
class StreetworldConfig:
    """``kind: streetworld``.

    Args:
        root: A folder that ``street_world`` wrote.
        sensor: Which of its pictures.
        use_labels: Pair the pictures with their labels; leave it off for the unlabelled side of an adaptation.
        resize: See ``Frames``.
    """

    root: Path
    sensor: Literal["rgb", "depth", "thermal", "event"]
    use_labels: bool = True
    resize: tuple[int, int] | None = None


def streetworld_frames(config: StreetworldConfig, label_set: LabelSet, modality: Modality | None) -> Frames:
    """Lists a StreetWorld folder.

    Raises:
        DataError: It is none, or a picture lacks its labels.
        ConfigError: The label set is not StreetWorld's, or the sensor needs another modality.
    """
    if label_set.name != "madm11":
        raise ConfigError("StreetWorld has its own label set", got=label_set.name, expected="madm11")
    if config.sensor != "rgb" and (modality is None or modality.name != config.sensor):
        raise ConfigError(
            f"the {config.sensor} frames of StreetWorld need the modality {config.sensor}",
            got=modality.name if modality else "none",
        )
    if not (config.root / "streetworld.json").is_file():
        raise DataError(f"{config.root} is not a StreetWorld folder", got="no streetworld.json", do="run street_world")
    folder = {"event": "events"}.get(config.sensor, config.sensor)
    images = sorted((config.root / folder).glob("*.npz" if config.sensor == "event" else "*.png"))
    files = [FrameFiles(path, config.root / "labels" / f"{path.stem}.png") for path in images]
    missing = [str(frame.labels) for frame in files if frame.labels and not frame.labels.is_file()]
    if not files or missing:
        raise DataError(
            f"{config.root} has no usable {config.sensor} frames", got=missing[0] if missing else "no frames"
        )
    if isinstance(modality, EventModality) and config.sensor == "event":
        height, width = read_label_file(config.root / "labels" / f"{images[0].stem}.png").shape
        reader = _EventReader(modality.bins, height, width)
        common: dict[str, Any] = {"read_image": reader, "modality": modality}
    else:
        common = {"modality": modality if config.sensor != "rgb" else None}
    return Frames(
        f"StreetWorld {config.sensor} {config.root}",
        files if config.use_labels else [FrameFiles(frame.image) for frame in files],
        label_map=LabelMap.from_pairs({class_id: class_id for class_id in label_set.ids}),
        known_ids=frozenset({*label_set.ids, IGNORE}),
        resize=config.resize,
        **common,
    )


@dataclass(frozen=True)
class _EventReader:
    """Reads the events of one window as a (bins, H, W) float32 voxel grid."""

    bins: int
    height: int
    width: int

    def __call__(self, path: Path) -> npt.NDArray[Any]:
        try:
            # The stream is ours, so that it is closed even when numpy cannot make sense of it.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as events:
                x, y, t, p = (events[name] for name in "xytp")
        except Exception as error:  # zipfile, zlib and NumPy's parser of headers fail in many ways
            raise DataError(f"cannot read the events {path}", got=f"{type(error).__name__}: {error}") from error
        if not len(t):
            return np.zeros((self.bins, self.height, self.width), np.float32)
        grid: npt.NDArray[Any] = voxel_grid(x, y, t, p, bins=self.bins, height=self.height, width=self.width).numpy()
        return grid
