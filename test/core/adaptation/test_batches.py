from __future__ import annotations

import pytest
import torch
from torch.utils.data import TensorDataset

from madm_core.adaptation.batches import load_batches
from madm_core.data.samples import SampleNumbers


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_collated_and_in_order(workers):
    samples = TensorDataset(torch.arange(20) ** 2)
    batches = load_batches(samples, SampleNumbers(3, 2, 2, 0, 1), workers=workers, device=torch.device("cpu"))
    assert [squares.tolist() for (squares,) in batches] == [[36, 49], [64, 81]]
