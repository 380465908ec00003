"""The captioned pictures that the base is trained on: frames of many synthetic streets, rendered once and kept on
disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.data.crops import resize_labels
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.sensors import RgbSensor
from madm_core.streetworld.world import StreetWorld

FIRST_STREET = 1_000_000
"""Streets from this seed on belong to the base's training; adaptation and test streets have other seeds."""
_FRAMES_OF_A_STREET = 3
_SECONDS_BETWEEN_FRAMES = 4.0


@dataclass(frozen=True)
class Pictures:
    """N pictures of (H, W) pixels.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N, H, W) uint8 ids of MADM11; the base never sees them as targets of recognition, only as palette
            pictures to compress and as the things that a caption names.
        conditions: N words for light and weather.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    conditions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def reduced(self, by: int) -> Pictures:
        """The same pictures, each side ``by`` times smaller: pixels averaged, labels by nearest neighbour.

        Networks see sensors' frames smaller than they are, so the base has to know such pictures too.
        """
        if by == 1:
            return self
        height, width = (side // by for side in self.labels.shape[1:])
        images = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in self.images]
        labels = [resize_labels(label, (height, width)) for label in self.labels]
        return Pictures(np.stack(images), np.stack(labels), self.conditions)


def load_pictures(
    file: Path, *, count: int, size: tuple[int, int], seed: int = 0, progress: Callable[[int], None] | None = None
) -> Pictures:
    """Reads the pictures from ``file``, or renders and writes them when it is not there.

    Args:
        file: An ``.npz``; its content belongs to exactly these arguments, so name it after them.
        count: Number of pictures.
        size: (height, width) in pixels.
        seed: Offset of the streets' seeds.
        progress: Called with the number of pictures rendered so far.
    """
    if file.is_file():
        with np.load(file) as stored:
            return Pictures(stored["images"], stored["labels"], tuple(stored["conditions"].tolist()))
    images = np.empty((count, *size, 3), np.uint8)
    labels = np.empty((count, *size), np.uint8)
    conditions = []
    camera, sensor = Camera(*size), RgbSensor()
    for index in range(count):
        street, frame = divmod(index, _FRAMES_OF_A_STREET)
        if frame == 0:
            world = StreetWorld(FIRST_STREET + seed + street, camera, None)
        rendering = world.render(frame * _SECONDS_BETWEEN_FRAMES)
        images[index] = sensor.capture(rendering, np.random.default_rng([seed, 5, index]))
        labels[index] = rendering.labels
        conditions.append(world.conditions.name)
        if progress:
            progress(index + 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, images=images, labels=labels, conditions=np.array(conditions))
    partial.rename(file)
    return Pictures(images, labels, tuple(conditions))
