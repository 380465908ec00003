"""Training samples of a student: a random part of a frame, and what the teacher says about just that part."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample
from torch.utils.data import Dataset

from madm_core.adaptation.draws import derive_seed
from madm_core.data.crops import Picture
from madm_core.data.frames import Frames
from madm_core.data.samples import first_readable
from madm_core.student.predictions import TeacherPredictions


class DistillationSample(NamedTuple):
    """One sample (or, collated, a batch of them with a leading dimension).

    Attributes:
        image: (3, h, w) uint8.
        log_probabilities: (K, H, W) float32, the teacher's, at the teacher's resolution.
    """

    image: torch.Tensor
    log_probabilities: torch.Tensor


@dataclass(frozen=True)
class Part:
    """A part of a frame in shares of its sides: the same for pictures of any resolution.

    Args:
        top: Upper edge.
        left: Left edge.
        scale: Height and width.
        mirrored: Left and right are exchanged.
    """

    top: float
    left: float
    scale: float
    mirrored: bool

    @classmethod
    def draw(cls, rng: random.Random, *, crop_scale: tuple[float, float], flip: bool) -> Part:
        """A part whose size is drawn from the range ``crop_scale``, anywhere in the frame."""
        scale = rng.uniform(*crop_scale)
        top, left = (rng.uniform(0, 1 - scale) for _ in range(2))
        return cls(top, left, scale, flip and rng.random() < 0.5)


class DistillationSamples(Dataset[DistillationSample]):
    """Sample n is the same in every run with the same seed.

    Frames are visited in a new random order in every pass. A frame that cannot be read is replaced by another.

    Args:
        frames: The unlabelled frames.
        predictions: The teacher's, prepared.
        image_size: (height, width) of the student's images.
        seed: The run's seed.
        crop_scale: Smallest and largest part of a frame's sides that a sample shows.
        flip: Mirror half of the samples.
    """

    def __init__(
        self,
        frames: Frames,
        predictions: TeacherPredictions,
        *,
        image_size: tuple[int, int],
        seed: int,
        crop_scale: tuple[float, float],
        flip: bool,
    ) -> None:
        self._frames = frames
        self._predictions = predictions
        self._image_size = image_size
        self._seed = seed
        self._crop_scale = crop_scale
        self._flip = flip
        self._usable = [index for index in range(len(frames)) if index not in predictions.unusable]
        self._order: tuple[int, list[int]] = (-1, [])

    def __getitem__(self, number: int) -> DistillationSample:
        return first_readable(lambda attempt: self._sample(number, attempt), self._frames)

    def _sample(self, number: int, attempt: int) -> DistillationSample:
        index = self._index(number, attempt)
        rng = random.Random(derive_seed(self._seed, "part", number, attempt))
        part = Part.draw(rng, crop_scale=self._crop_scale, flip=self._flip)
        image = cut_picture(self._frames.image(index), part, self._image_size)
        known = self._predictions.log_probabilities(index)
        return DistillationSample(torch.from_numpy(image), cut_maps(known, part))

    def _index(self, number: int, attempt: int) -> int:
        count = len(self._usable)
        if attempt:
            return self._usable[derive_seed(self._seed, "replacement", number, attempt) % count]
        epoch, position = divmod(number, count)
        if self._order[0] != epoch:
            order = self._usable.copy()
            random.Random(derive_seed(self._seed, "epoch", epoch)).shuffle(order)
            self._order = (epoch, order)
        return self._order[1][position]


def cut_picture(picture: Picture, part: Part, size: tuple[int, int]) -> Picture:
    """A part of an (H, W, 3) picture, resized (bilinear, antialiased) to ``size``, as (3, h, w)."""
    height, width = picture.shape[:2]
    left, top = part.left * width, part.top * height
    box = (left, top, min(left + part.scale * width, width), min(top + part.scale * height, height))
    resized = Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(resized)
    if part.mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def cut_maps(maps: torch.Tensor, part: Part) -> torch.Tensor:
    """The same part of (K, h, w) maps, at their own resolution (bilinear)."""
    sign = -1.0 if part.mirrored else 1.0
    x, y = (2 * edge + part.scale - 1 for edge in (part.left, part.top))  # the part's middle in -1..1
    matrix = torch.tensor([[[sign * part.scale, 0.0, x], [0.0, part.scale, y]]])
    grid = affine_grid(matrix, [1, *maps.shape], align_corners=False)
    return grid_sample(maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
