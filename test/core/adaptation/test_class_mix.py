from __future__ import annotations

import numpy as np
import pytest
import torch

from madm_core.adaptation.class_mix import class_masks, draw_classes, mix
from madm_core.adaptation.pseudo_labels import PseudoLabels, mixed_targets


@pytest.fixture(scope="module")
def numbers(golden):
    return {name: torch.from_numpy(np.asarray(value)) for name, value in np.load(golden / "classmix.npz").items()}


def test_draw_and_masks_equal_the_reference(numbers):
    rng = np.random.RandomState(int(numbers["np_seed"]))
    chosen = draw_classes(numbers["labels"], rng, classes_from="batch", mix_ignored=True)
    for classes, indices in zip(chosen, numbers["choice_idx"], strict=True):
        assert torch.equal(classes, numbers["unique_over_batch"][indices])
    assert torch.equal(class_masks(numbers["labels"], chosen), numbers["masks"])


def test_mixed_picture_labels_and_weights_equal_the_reference(numbers):
    masks = numbers["masks"]
    picture = mix(numbers["src"].float(), numbers["tgt"].float(), masks)
    assert torch.equal(picture, numbers["mixed_img"])
    share = torch.tensor(float(numbers["pseudo_val"]))
    pseudo = PseudoLabels(numbers["pseudo_label"], torch.ones_like(numbers["pseudo_label"]).float(), share)
    targets = mixed_targets(numbers["labels"], pseudo, masks)
    assert torch.equal(targets.labels, numbers["mixed_lbl"])
    torch.testing.assert_close(targets.pixel_weight, numbers["mixed_weight"])


def test_our_draw_takes_only_what_the_sample_shows():
    labels = torch.full((2, 1, 4, 4), 255)
    labels[0, 0, 0] = 1
    labels[0, 0, 1] = 2
    labels[0, 0, 2] = 3
    chosen = draw_classes(labels, np.random.RandomState(0))
    assert len(chosen[0]) == 2 and set(chosen[0].tolist()) < {1, 2, 3}
    assert chosen[1].numel() == 0
    masks = class_masks(labels, chosen)
    assert masks[0].sum() == 8 and masks[1].sum() == 0


def test_ignored_pixels_are_pasted_only_when_asked_for():
    labels = torch.full((1, 1, 2, 2), 255)
    assert class_masks(labels, draw_classes(labels, np.random.RandomState(0), mix_ignored=True)).sum() == 4
    assert class_masks(labels, draw_classes(labels, np.random.RandomState(0), mix_ignored=False)).sum() == 0
