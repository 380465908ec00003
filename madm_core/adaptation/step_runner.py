"""Runs one optimiser step: batches, gradients, clipping, and what to do when numbers stop being finite."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from madm_core.adaptation.draws import draw_step
from madm_core.adaptation.optimizer import set_learning_rate
from madm_core.adaptation.running_statistics import RunningStatistics
from madm_core.adaptation.schedules import LearningRateSchedule
from madm_core.adaptation.step import AdaptationModel, Batch, BranchResult
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.data.samples import Sample


@dataclass
class StepReport:
    """What a step did.

    Args:
        numbers: Losses, q, gradient norm, learning rate; means over all processes.
        usable: False when a loss or gradient was not finite on any process and the step was skipped.
        own_fault: Whether this process's batch was the cause.
        batch: The last batch.
        source: Its source branch.
        mixed: Its mixed branch; None while training on the source alone.
    """

    numbers: dict[str, float]
    usable: bool
    own_fault: bool
    batch: Batch
    source: BranchResult
    mixed: BranchResult | None


class StepRunner:
    """Runs steps.

    Args:
        config: The run's configuration.
        accelerator: The distributed engine.
        model: Unwrapped student and teacher.
        wrapped: The model as the engine prepared it.
        optimizer: The optimiser as the engine prepared it.
    """

    def __init__(
        self,
        config: TrainingConfig,
        accelerator: Accelerator,
        model: AdaptationModel,
        wrapped: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        method = config.resolved_method
        self.config = config
        self.method = method
        self.accelerator = accelerator
        self.model = model
        self.wrapped = wrapped
        self.optimizer = optimizer
        self.schedule = LearningRateSchedule(
            config.max_steps, method.warmup_fraction, method.warmup_start, method.drops
        )
        # In the optimiser's order, as the reference clips them: the order decides the last bit of the norm.
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._statistics = RunningStatistics(model.student.head, model.teacher.head)

    def run(self, step: int, samples: Iterator[Sample]) -> StepReport:
        """Runs step number ``step`` on the next batches of ``samples``."""
        accumulate = self.config.engine.accumulate
        if step > 0:
            self.model.teacher.update(self.model.student, step)
        set_learning_rate(self.optimizer, self.schedule.multiplier(step))
        self.optimizer.zero_grad(set_to_none=True)
        statistics = self._statistics.copy()
        numbers: dict[str, float] = {}
        for micro_step in range(accumulate):
            sample = next(samples)
            batch = _prepared(Batch(*sample).to(self.accelerator.device))
            last = micro_step == accumulate - 1
            source, mixed = self._batch(step, micro_step, batch, last=last)
            for name, value in _numbers(source, mixed).items():
                numbers[name] = numbers.get(name, 0.0) + value / accumulate
        numbers["grad_norm"] = self._clip()
        numbers["learning_rate"] = self.schedule.multiplier(step) * self.method.learning_rate
        own_fault = not math.isfinite(numbers["loss"])
        usable = self._finite_everywhere(numbers)
        numbers = self._mean_over_processes(numbers)
        if not usable:
            self._undo(statistics)
            return StepReport(numbers, False, own_fault, batch, source, mixed)
        self.optimizer.step()
        return StepReport(numbers, True, False, batch, source, mixed)

    def _batch(
        self, step: int, micro_step: int, batch: Batch, *, last: bool
    ) -> tuple[BranchResult, BranchResult | None]:
        engine, accelerator = self.config.engine, self.accelerator
        number = (step * engine.accumulate + micro_step) * accelerator.num_processes + accelerator.process_index
        draws = draw_step(
            self.method,
            batch.source_labels,
            step=step,
            max_steps=self.config.max_steps,
            seed=self.config.seed,
            batch_number=number,
        )
        torch.manual_seed(draws.torch_seed)
        adapts = self.method.adapts(step, self.config.max_steps)
        split = adapts and engine.backward_per_branch
        with self._gradients(synchronise=last and not split):
            source: BranchResult = self.wrapped("source", batch, draws)
            if split or not adapts:
                accelerator.backward(source.loss / engine.accumulate)
                _let_go(source)
        if not adapts:
            return source, None
        with self._gradients(synchronise=last):
            mixed: BranchResult = self.wrapped("mixed", batch, draws)
            accelerator.backward((mixed.loss if split else source.loss + mixed.loss) / engine.accumulate)
        _let_go(source)
        _let_go(mixed)
        return source, mixed

    def _gradients(self, *, synchronise: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients only in a step's last backward pass."""
        context: AbstractContextManager[None] = self.accelerator.no_sync(self.wrapped)
        return nullcontext() if synchronise else context

    def _clip(self) -> float:
        norm = self.accelerator.clip_grad_norm_(self._parameters, self.method.clip_norm)
        return float(norm.item()) if norm is not None else 0.0

    def _finite_everywhere(self, numbers: dict[str, float]) -> bool:
        """Whether no process has seen NaN or infinity. A loss scaler deals with infinite gradients itself."""
        finite = math.isfinite(numbers["loss"])
        if self.accelerator.scaler is None:
            finite = finite and math.isfinite(numbers["grad_norm"])
        flag = torch.tensor([1.0 if finite else 0.0], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item() >= self.accelerator.num_processes)

    def _mean_over_processes(self, numbers: dict[str, float]) -> dict[str, float]:
        if self.accelerator.num_processes == 1:
            return numbers
        own = torch.tensor(list(numbers.values()), dtype=torch.float64, device=self.accelerator.device)
        return dict(zip(numbers, self.accelerator.reduce(own, "mean").tolist(), strict=True))

    def _undo(self, statistics: list[torch.Tensor]) -> None:
        """Takes back what the skipped step has changed besides the weights: gradients and running statistics."""
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self._statistics.put_back(statistics)


def _prepared(batch: Batch) -> Batch:
    """A batch of bytes as the model wants it."""
    return dataclasses.replace(
        batch,
        source_image=batch.source_image / 255,
        source_labels=batch.source_labels.long(),
        target_image=batch.target_image / 255,
    )


def _numbers(source: BranchResult, mixed: BranchResult | None) -> dict[str, float]:
    losses = {**source.losses, **(mixed.losses if mixed is not None else {})}
    numbers = {name: loss.item() for name, loss in losses.items()}
    numbers["loss"] = sum(numbers.values())
    if mixed is not None and mixed.pseudo is not None:
        numbers["q"] = mixed.pseudo.share.item()
    return numbers


def _let_go(result: BranchResult) -> None:
    """Cuts a result off its graph, so that its activations are freed while the rest of the step runs."""
    result.losses = {name: loss.detach() for name, loss in result.losses.items()}
    output = result.output
    result.output = output._replace(
        logits=output.logits.detach(),
        sample=output.sample.detach(),
        features=tuple(feature.detach() for feature in output.features),
    )
