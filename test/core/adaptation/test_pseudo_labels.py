from __future__ import annotations

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
