from __future__ import annotations

import pytest
import torch

from madm_core.adaptation.memory_planner import plan_memory
from madm_core.adaptation.step import Batch

GIB = 2**30


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_plan_counts_what_a_step_really_keeps(tiny_config, checkpointing):
    """Without mixed precision: weights and optimiser exactly, activations as autograd keeps them on the CPU."""
    from accelerate import Accelerator

    from madm_core.adaptation.assembly import make_model
    from madm_core.adaptation.draws import draw_step

    engine = {"device": "cpu", "workers": 0, "gradient_checkpointing": checkpointing, "mixed_precision": "no"}
    config = tiny_config(engine=engine)
    plan = plan_memory(config)
    model = make_model(config, Accelerator(cpu=True))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert plan.weights == 4 * sum(p.numel() for p in model.parameters())
    assert (plan.gradients, plan.optimizer) == (4 * trained, 8 * trained)

    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    batch = Batch(torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64, dtype=torch.int64), torch.rand(2, 3, 64, 64))
    draws = draw_step(config.resolved_method, batch.source_labels, step=0, max_steps=5, seed=0, batch_number=0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model("source", batch, draws)
        if checkpointing:  # the head's branches are computed again one at a time, while all else is kept
            branch = model.student.head.dilated_branches[0]
            branch(torch.rand(2, branch[0].conv.in_channels, 64, 64, requires_grad=True))
    real = sum(size for size, _ in kept.values())
    assert 0.75 * real < plan.activations < 1.25 * real


def test_savings_are_offered_when_it_does_not_fit(tiny_config):
    config = tiny_config(engine={"device": "cpu", "backward_per_branch": False, "gradient_checkpointing": False})
    plan = plan_memory(config, available=1_000_000)
    text = plan.describe()
    assert "does not fit into" in text
    peaks = [peak for _, peak in plan.savings]
    assert [switch for switch, _ in plan.savings] == [
        "engine.mixed_precision=bf16",
        "engine.backward_per_branch=true",
        "engine.gradient_checkpointing=true",
        "engine.optimizer=adamw8bit",
    ]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] < plan.peak
    assert "does not fit" not in plan_memory(config, available=GIB * 100).describe()
