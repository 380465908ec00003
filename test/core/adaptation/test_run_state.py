from __future__ import annotations

import pytest
import torch

from madm_core.adaptation.trainer import Trainer
from madm_core.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("fresh_engine")


@pytest.fixture
def stopped(tiny_config):
    """A run that has ended after one step."""
    trainer = Trainer(tiny_config(max_steps=1), progress=False)
    trainer.run()
    return trainer


@pytest.fixture
def changed(tiny_config, stopped):
    """Makes the configuration of a second step, with some switches of the method changed."""
    return lambda **method: tiny_config(max_steps=2, method={**stopped.config.method, **method})


def resume(config):
    return Trainer(config, resume=True, allow_config_change=True, progress=False)


def test_what_was_changed_on_purpose_wins_over_the_checkpoint(stopped, changed):
    """Before, the checkpoint brought the old rates, decay and betas back."""
    config = changed(learning_rate=5e-4, new_layer_learning_rate=5e-3, weight_decay=0.2, betas=[0.8, 0.99])
    resumed = resume(config)

    learnt, restored = (trainer.optimizer.state_dict()["state"] for trainer in (stopped, resumed))
    assert learnt.keys() == restored.keys() and learnt
    for index, moments in learnt.items():
        assert all(torch.equal(moments[name], restored[index][name]) for name in ("step", "exp_avg", "exp_avg_sq"))

    resumed.run()
    groups = resumed.optimizer.param_groups
    assert {(group["base_lr"], group["weight_decay"]) for group in groups} == {
        (5e-4, 0.2), (5e-4, 0.0), (5e-3, 0.2), (5e-3, 0.0),
    }  # fmt: skip
    assert {tuple(group["betas"]) for group in groups} == {(0.8, 0.99)}
    factor = resumed.runner.schedule.multiplier(1)
    assert [group["lr"] for group in groups] == [group["base_lr"] * factor for group in groups]


def test_other_groups_of_parameters_do_not_load(changed):
    for method in ({"learning_rate": 1e-2}, {"weight_decay": 0.0}, {"train_output_layers": True}):
        with pytest.raises(
            CheckpointError, match=r"groups its parameters in another way.*[Rr]estore the section method"
        ):
            resume(changed(**method))
