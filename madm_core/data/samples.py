"""Training samples by number: sample n of a run is always the same, whichever process or worker makes it."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from madm_core.data.crops import Picture, random_crop, resize_image, resize_labels
from madm_core.data.frames import Frames
from madm_core.data.rare_class import RareClassSampler, crop_until_present
from madm_core.errors import DataError

logger = logging.getLogger(__name__)

MadeT = TypeVar("MadeT")
_REPLACEMENTS = 10


class Sample(NamedTuple):
    """One training sample (or, collated, a batch of them with a leading dimension).

    Attributes:
        source_image: (3, H, W) uint8.
        source_labels: (1, H, W) uint8 ids of the label set, 255 = ignored.
        target_image: (3, H, W) uint8.
        target_valid: (1, H, W) bool, False where the target's sensor measured nothing.
    """

    source_image: torch.Tensor
    source_labels: torch.Tensor
    target_image: torch.Tensor
    target_valid: torch.Tensor


class TrainingSamples(Dataset[Sample]):
    """Sample n pairs a labelled source crop with an unlabelled target crop.

    Targets are visited in a new random order in every pass, sources likewise or by rare class. Everything random about
    sample n comes from (seed, n), so a resumed run sees the samples that the uninterrupted one would have seen.

    Args:
        source: Labelled frames.
        target: Unlabelled frames (labels are never read).
        image_size: (height, width) of the crops.
        seed: The run's seed.
        rare_classes: Draws source frames by rare class; None visits all alike.
        min_crop_pixels: Pixels of the drawn class that a crop must exceed, for at most ten redraws.
    """

    def __init__(
        self,
        source: Frames,
        target: Frames,
        *,
        image_size: tuple[int, int],
        seed: int,
        rare_classes: RareClassSampler | None = None,
        min_crop_pixels: int = 0,
    ) -> None:
        self.source = source
        self.target = target
        self.image_size = image_size
        self.seed = seed
        self.rare_classes = rare_classes
        self.min_crop_pixels = min_crop_pixels
        self._orders: dict[str, tuple[int, list[int]]] = {}

    def __getitem__(self, number: int) -> Sample:
        rng = random.Random(_seed(self.seed, "sample", number))
        image, labels = first_readable(lambda attempt: self._source_crop(number, attempt, rng), self.source)
        target, valid = first_readable(lambda attempt: self._target_crop(number, attempt, rng), self.target)
        labels = self.source.to_label_set(labels)
        return Sample(
            _to_tensor(image),
            torch.from_numpy(labels.copy())[None],
            _to_tensor(target),
            torch.ones(1, *self.image_size, dtype=torch.bool) if valid is None else torch.from_numpy(valid != 0)[None],
        )

    def _source_crop(self, number: int, attempt: int, rng: random.Random) -> tuple[Picture, Picture]:
        class_id = None
        if self.rare_classes is not None:
            class_id, index = self.rare_classes.draw(rng)
        else:
            index = self._index("source", number, attempt, len(self.source))
        image, labels = self.source.labelled_image(index)
        size = self.source.size_for(labels.shape[0], labels.shape[1], self.image_size)
        image, labels = resize_image(image, size), resize_labels(labels, size)

        def draw_crop() -> tuple[Picture, Picture]:
            crop, crop_labels = random_crop(image, labels, self.image_size, rng)
            assert crop_labels is not None
            return crop, crop_labels

        if class_id is None:
            return draw_crop()
        return crop_until_present(draw_crop, class_id, self.min_crop_pixels)

    def _target_crop(self, number: int, attempt: int, rng: random.Random) -> tuple[Picture, Picture | None]:
        image, valid = self.target.image_and_valid(self._index("target", number, attempt, len(self.target)))
        size = self.target.size_for(image.shape[0], image.shape[1], self.image_size)
        # Resized and cropped as labels are: a pixel was measured or it was not.
        mask = None if valid is None else resize_labels(valid.astype(np.uint8), size)
        return random_crop(resize_image(image, size), mask, self.image_size, rng)

    def _index(self, name: str, number: int, attempt: int, count: int) -> int:
        """Frame of sample ``number`` in a shuffled order that is drawn anew for every pass."""
        if attempt:
            return random.Random(_seed(self.seed, name, number, attempt)).randrange(count)
        epoch, position = divmod(number, count)
        if self._orders.get(name, (-1, []))[0] != epoch:
            order = list(range(count))
            random.Random(_seed(self.seed, name, "epoch", epoch)).shuffle(order)
            self._orders[name] = (epoch, order)
        return self._orders[name][1][position]


def first_readable(make: Callable[[int], MadeT], frames: Frames) -> MadeT:
    """The first attempt without an unreadable file: one broken file must not end a night's training.

    Args:
        make: Attempt number (0 = the frame whose turn it is, from 1 on replacements) -> what is wanted.
        frames: Where it comes from, for messages.

    Raises:
        DataError: Ten replacements failed too.
    """
    last: DataError | None = None
    for attempt in range(_REPLACEMENTS + 1):
        try:
            return make(attempt)
        except DataError as error:
            last = error
            logger.warning("a frame of %s is replaced by another: %s", frames.name, error)
    raise DataError(
        f"too many unusable frames in {frames.name}",
        got=f"{_REPLACEMENTS + 1} in a row, the last: {last}",
        do="look for them with check_data",
    )


class SampleNumbers(Sampler[list[int]]):
    """Batches of sample numbers for one process: step by step, each process its own share.

    Args:
        first_batch: Number of the first batch (finished steps times batches a step).
        batches: Number of batches to give.
        batch_size: Samples of a batch on one process.
        process: Rank of this process.
        processes: Number of processes.
    """

    def __init__(self, first_batch: int, batches: int, batch_size: int, process: int, processes: int) -> None:
        self.first_batch = first_batch
        self.batches = batches
        self.batch_size = batch_size
        self.process = process
        self.processes = processes

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.first_batch, self.first_batch + self.batches):
            start = (batch * self.processes + self.process) * self.batch_size
            yield list(range(start, start + self.batch_size))


def _seed(*parts: int | str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "little")


def _to_tensor(image: Picture) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
