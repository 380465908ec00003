"""Batches of samples, loaded beside the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from madm_core.data.samples import SampleNumbers
from madm_core.interruption import deaf_children

SampleT = TypeVar("SampleT", covariant=True)


def load_batches(
    samples: Dataset[SampleT], numbers: SampleNumbers, *, workers: int, device: torch.device
) -> Iterator[SampleT]:
    """Collated samples, batch by batch; a signal that stops the training does not reach the workers.

    Args:
        samples: The samples, by number.
        numbers: Which of them make up each batch.
        workers: Processes that make samples; 0 makes them in this one.
        device: Where the batches will go; memory is pinned for a GPU.
    """
    loader = DataLoader(
        samples,
        batch_sampler=numbers,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        # Forking a process that runs threads (OpenMP, CUDA) may hang its children.
        multiprocessing_context="forkserver" if workers else None,
    )
    with deaf_children():
        return iter(loader)
