"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere; and TensorBoard."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Shows the numbers of a run.

    Args:
        tensorboard: Folder for TensorBoard's files.
        first_step: Finished steps at the start; later entries of an earlier attempt are hidden.
        max_steps: Length of the run.
    """

    def __init__(self, tensorboard: Path, first_step: int, max_steps: int) -> None:
        self._writer = SummaryWriter(str(tensorboard), purge_step=first_step)
        self._bar = (
            tqdm(total=max_steps, initial=first_step, unit="step", dynamic_ncols=True) if sys.stderr.isatty() else None
        )
        self._max_steps = max_steps
        self._last = (time.monotonic(), first_step)

    def step_done(self) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update()

    def show(self, step: int, numbers: Mapping[str, float]) -> None:
        """Shows and records the numbers of a step."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items() if name in _SHOWN)
        if self._bar is not None:
            self._bar.set_postfix_str(shown)
            return
        now, (then, last_step) = time.monotonic(), self._last
        self._last = (now, step)
        rate = (step - last_step) / max(now - then, 1e-9)
        left = (self._max_steps - step) / rate if rate > 0 else float("inf")
        eta = time.strftime("%H:%M:%S", time.gmtime(left)) if left < 86400 else f"{left / 86400:.1f} days"
        logger.info("step %d/%d: %s, %.2f it/s, %s left", step, self._max_steps, shown, rate, eta)

    def picture(self, step: int, sheet: npt.NDArray[np.uint8]) -> None:
        """Records a preview."""
        self._writer.add_image("preview", sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Ends bar and files."""
        self._writer.close()
        if self._bar is not None:
            self._bar.close()


_SHOWN = frozenset({"loss", "source_loss", "target_loss", "q", "grad_norm", "memory_gb", "mean_iou"})


def memory_gb(device: torch.device) -> float:
    """Peak memory so far: of the GPU on CUDA, of the process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
