from __future__ import annotations

import pytest
import torch

from madm_core.adaptation.pseudo_labels import PseudoLabels, mixed_targets, pseudo_labels


def test_every_pixel_is_labelled_and_the_share_counts_the_sure_ones():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0, 0] = 20
    logits[0, 2, 0, 1] = 0.1
    pseudo = pseudo_labels(logits, 0.968)
    assert pseudo.labels[0, 0].tolist() == [1, 2]
    assert pseudo.share.item() == 0.25
    assert pseudo.confidence[0, 0, 0] > 0.99


def test_regression_weight_of_pasted_labels():
    labels = torch.tensor([[[[4, 255], [4, 4]]]])
    masks = torch.tensor([[[[1, 1], [0, 0]]]])
    pseudo = PseudoLabels(torch.ones(1, 2, 2, dtype=torch.int64), torch.ones(1, 2, 2), torch.tensor(0.25))
    by_share = mixed_targets(labels, pseudo, masks, regression_weight="share")
    assert by_share.labels.tolist() == [[[[4, 255], [1, 1]]]]
    assert by_share.pixel_weight.tolist() == [[[1, 1], [0.25, 0.25]]]
    assert by_share.regression_mask.tolist() == [[[[0.25, 0], [0.25, 0.25]]]]
    by_pixel = mixed_targets(labels, pseudo, masks, regression_weight="pixel")
    assert by_pixel.regression_mask.tolist() == [[[[1, 0], [0.25, 0.25]]]]


def test_pixels_without_a_measurement_count_nowhere():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0] = 20  # sure in the upper row
    valid = torch.tensor([[[[True, False], [True, True]]]])
    pseudo = pseudo_labels(logits, 0.968, valid)
    assert pseudo.labels[0, 0].tolist() == [1, 255]
    assert pseudo.confidence[0, 0, 1] == 0
    assert pseudo.share.item() == pytest.approx(1 / 3)
    # The source pixel that is pasted over the hole keeps its label and its full weight.
    labels = torch.full((1, 1, 2, 2), 4)
    for pasted in (0, 1):
        targets = mixed_targets(labels, pseudo, torch.tensor([[[[0, pasted], [0, 0]]]]))
        assert targets.labels[0, 0, 0].tolist() == [1, 4 if pasted else 255]
        assert (targets.regression_mask[0, 0, 0, 1] == pasted).item()


def test_nothing_measured_at_all_teaches_nothing():
    pseudo = pseudo_labels(torch.zeros(1, 3, 2, 2), 0.1, torch.zeros(1, 1, 2, 2, dtype=torch.bool))
    assert pseudo.share.item() == 0
    assert pseudo.labels.unique().tolist() == [255]
