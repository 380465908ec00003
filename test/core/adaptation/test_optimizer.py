from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from madm_core.adaptation.optimizer import make_optimizer, parameter_groups, set_learning_rate
from madm_core.errors import ConfigError, MissingDependencyError


def network():
    body = nn.Sequential(nn.Conv2d(1, 2, 1), nn.GroupNorm(1, 2), nn.Conv2d(2, 2, 1, bias=False))
    body[2].requires_grad_(False)
    head = nn.Sequential(nn.BatchNorm2d(2), nn.Linear(2, 3))
    return {"unet": body, "head": head}


def test_groups_by_rate_and_decay():
    groups = parameter_groups(network(), {"unet": 1e-5, "head": 1e-3}, 0.05)
    names = {(group["base_lr"], group["weight_decay"]): group["names"] for group in groups}
    assert names == {
        (1e-5, 0.05): ["unet.0.weight"],
        (1e-5, 0.0): ["unet.0.bias", "unet.1.weight", "unet.1.bias"],
        (1e-3, 0.0): ["head.0.weight", "head.0.bias", "head.1.bias"],
        (1e-3, 0.05): ["head.1.weight"],
    }


def test_optimizer_groups_equal_the_reference(golden, make_golden_model, translate):
    groups, current = {}, None
    for line in (golden / "optimizer_groups.txt").read_text().splitlines():
        if line.startswith("## not optimised"):
            break
        if line.startswith("## weight_decay="):
            current = groups.setdefault(float(line.split("=")[1].split()[0]), set())
        elif line and not line.startswith("#"):
            current.add(translate(line.strip()).removeprefix("backbone."))
    parts = make_golden_model().parts()
    ours = {
        group["weight_decay"]: set(group["names"])
        for group in parameter_groups(parts, dict.fromkeys(parts, 5e-6), 0.05)
    }
    assert ours == groups
    assert {decay: len(names) for decay, names in ours.items()} == {0.05: 315, 0.0: 454}


def test_a_shared_module_is_optimised_once():
    parts = network()
    parts["again"] = parts["head"]
    groups = parameter_groups(parts, dict.fromkeys(parts, 1.0), 0.0)
    assert len(groups) == 1 and len(groups[0]["params"]) == 8


def test_rates_follow_the_schedule_from_their_own_base():
    groups = parameter_groups(network(), {"unet": 1e-5, "head": 1e-3}, 0.05)
    optimizer = make_optimizer(groups, "adamw", (0.9, 0.999), device=torch.device("cpu"))
    set_learning_rate(optimizer, 0.5)
    set_learning_rate(optimizer, 0.1)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([1e-6, 1e-4])


def test_missing_bitsandbytes_is_said_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not installed
    with pytest.raises(
        MissingDependencyError, match=r"needs bitsandbytes.*[Pp]ip install bitsandbytes.*optimizer=adamw"
    ):
        make_optimizer([], "adamw8bit", (0.9, 0.999), device=torch.device("cuda"))


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="'head'.*no learning rate"):
        parameter_groups(network(), {"unet": 1.0}, 0.0)
    with pytest.raises(ConfigError, match="adamw8bit.*expected a CUDA device"):
        make_optimizer([], "adamw8bit", (0.9, 0.999), device=torch.device("cpu"))
