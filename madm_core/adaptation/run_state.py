"""What of a run goes into its checkpoints, and back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from madm_core.adaptation.checkpoint import Checkpoint, load_newest, prune, save_checkpoint
from madm_core.adaptation.step import AdaptationModel
from madm_core.errors import CheckpointError

logger = logging.getLogger(__name__)

_VAE = "student.backbone.vae."


class RunState:
    """Saves and restores model, optimiser and loss scaler.

    Args:
        folder: Where the checkpoints are.
        accelerator: The distributed engine.
        model: Unwrapped student and teacher.
        optimizer: The optimiser as the engine prepared it.
    """

    def __init__(
        self, folder: Path, accelerator: Accelerator, model: AdaptationModel, optimizer: torch.optim.Optimizer
    ) -> None:
        self.folder = folder
        self.accelerator = accelerator
        self.model = model
        self.optimizer = optimizer

    def save(self, step: int, counters: dict[str, Any], *, keep: int, best: int | None) -> None:
        """Writes a checkpoint of ``step`` finished steps and deletes older ones; all processes must call it.

        Args:
            step: Finished steps.
            counters: JSON values.
            keep: Newest checkpoints to keep.
            best: Step of a checkpoint to keep besides.

        Raises:
            CheckpointError: It cannot be written.
        """
        statistics = self._statistics_of_all_processes()
        if self.accelerator.is_main_process:
            weights = {name: tensor for name, tensor in self.model.state_dict().items() if not name.startswith(_VAE)}
            scaler = self.accelerator.scaler
            state = {
                "optimizer": self.optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else None,
            }
            counters = {**counters, "processes": self.accelerator.num_processes}
            save_checkpoint(self.folder, Checkpoint(step, weights | statistics, state, counters))
            prune(self.folder, step, keep=keep, best=best)
        self.accelerator.wait_for_everyone()

    def restore(self) -> tuple[int, dict[str, Any]] | None:
        """Loads the newest intact checkpoint.

        Returns:
            Its step and counters; None when there is no checkpoint.

        Raises:
            CheckpointError: None is intact, or it belongs to another network or to other groups of parameters.
        """
        checkpoint = load_newest(self.folder)
        if checkpoint is None:
            return None
        processes = checkpoint.counters["processes"]
        if processes != self.accelerator.num_processes:
            logger.warning("the run had %d processes; from here on its steps see other batches", processes)
        own = f"process_{self.accelerator.process_index}."
        weights = {name: tensor for name, tensor in checkpoint.weights.items() if not name.startswith("process_")}
        for name, tensor in checkpoint.weights.items():
            if name.startswith(own):
                weights[name.removeprefix(own)] = tensor
        missing, unexpected = self.model.load_state_dict(weights, strict=False)
        missing = [name for name in missing if not name.startswith(_VAE)]
        if missing or unexpected:
            raise CheckpointError(
                "the checkpoint belongs to another network",
                got=f"{len(missing)} tensors missing, {len(unexpected)} unknown",
                do="restore the configuration that the run was started with",
            )
        self._restore_optimizer(checkpoint.optimizer["optimizer"])
        if self.accelerator.scaler is not None and checkpoint.optimizer["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(checkpoint.optimizer["scaler"])
        return checkpoint.step, dict(checkpoint.counters)

    def _restore_optimizer(self, saved: dict[str, Any]) -> None:
        """Takes the moments from a checkpoint; rates, decay and betas stay those of the configuration."""
        configured = [
            {name: value for name, value in group.items() if name != "params"} for group in self.optimizer.param_groups
        ]
        before, now = ([group["names"] for group in groups] for groups in (saved["param_groups"], configured))
        if before != now:
            raise CheckpointError(
                "the checkpoint's optimiser groups its parameters in another way",
                got=f"groups of {', '.join(str(len(names)) for names in before)} parameters",
                expected=f"groups of {', '.join(str(len(names)) for names in now)}",
                do="restore the section method that the run was started with: learning rates that become equal, and a "
                "weight_decay of 0, join groups",
            )
        self.optimizer.load_state_dict(saved)
        for group, own in zip(self.optimizer.param_groups, configured, strict=True):
            group.update(own)

    def _statistics_of_all_processes(self) -> dict[str, torch.Tensor]:
        """BatchNorm's running statistics of all processes: each has its own."""
        if self.accelerator.num_processes == 1:
            return {}
        own = {name: buffer.cpu() for name, buffer in self.model.named_buffers() if ".norm." in name}
        return {
            f"process_{process}.{name}": buffer
            for process, buffers in enumerate(gather_object([own]))
            for name, buffer in buffers.items()
        }
