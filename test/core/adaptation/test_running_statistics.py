"""Running statistics come back as they were, of all BatchNorm layers and of nothing else."""

from __future__ import annotations

import torch
from torch import nn

from madm_core.adaptation.running_statistics import RunningStatistics


def test_what_a_forward_pass_has_changed_is_put_back():
    modules = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), nn.BatchNorm1d(3)
    statistics = RunningStatistics(*modules)
    before = statistics.copy()
    assert len(before) == 6
    modules[0](torch.full((2, 1, 3, 3), torch.nan))
    modules[1](torch.randn(4, 3))
    assert modules[0][1].running_mean.isnan().all() and modules[1].num_batches_tracked == 1
    statistics.put_back(before)
    for now, then in zip(statistics.copy(), before, strict=True):
        assert torch.equal(now, then)
