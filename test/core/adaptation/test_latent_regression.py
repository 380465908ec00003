from __future__ import annotations

import numpy as np
import pytest
import torch

from madm_core.adaptation.latent_regression import labelled, palette_image, read_palette
from madm_core.labels import LabelSet


@pytest.mark.parametrize("classes", [11, 9])
def test_palette_equals_the_reference(golden, classes):
    numbers = {name: torch.from_numpy(value) for name, value in np.load(golden / "palette.npz").items()}
    label_set = LabelSet.named(f"madm{classes}")
    labels = numbers[f"label{classes}"]
    torch.testing.assert_close(palette_image(labels, label_set), numbers[f"color{classes}"], rtol=0, atol=1e-6)
    assert torch.equal(labelled(labels), numbers[f"valid{classes}"])

    reading = read_palette(numbers[f"decoded_clipped{classes}"], label_set)
    torch.testing.assert_close(reading.distance, numbers[f"distance{classes}"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(reading.probability, numbers[f"softmax_prob{classes}"], rtol=1e-4, atol=1e-6)
    assert torch.equal(reading.labels, numbers[f"label_nearest{classes}"])


def test_painted_labels_are_read_back():
    label_set = LabelSet.named("madm11")
    labels = torch.arange(11).reshape(1, 1, 1, 11)
    assert torch.equal(read_palette(palette_image(labels, label_set), label_set).labels, labels[0])
