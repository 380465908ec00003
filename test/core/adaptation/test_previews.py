from __future__ import annotations

import cv2
import numpy as np
import torch

from madm_core.adaptation.previews import preview, save_preview
from madm_core.adaptation.pseudo_labels import PseudoLabels
from madm_core.adaptation.step import Batch, BranchResult
from madm_core.labels import LabelSet
from madm_core.model.madm import MadmOutput

MADM11 = LabelSet.named("madm11")
TILE = 22 + 32  # caption and picture


def branch(image, class_id, pseudo=None):
    logits = torch.zeros(1, 11, 32, 48)
    logits[:, class_id] = 1
    output = MadmOutput(logits, torch.zeros(1, 4, 4, 6), (), torch.ones(1, 3, 32, 48))
    labels = torch.full((1, 1, 32, 48), class_id)
    return BranchResult({}, output, image, labels, pseudo)


def test_the_source_alone_makes_one_row():
    image = torch.full((1, 3, 32, 48), 0.5)
    sheet = preview(Batch(image, torch.zeros(1, 1, 32, 48), image), branch(image, 3), None, MADM11)
    assert sheet.shape == (TILE, 4 * 48, 3)
    picture, labels, prediction, decoded = (sheet[40, 48 * column + 24] for column in range(4))
    assert tuple(picture) == (127, 127, 127)
    assert tuple(labels) == tuple(prediction) == MADM11.colors[3]
    assert tuple(decoded) == (255, 255, 255)


def test_the_mixed_branch_adds_pseudo_labels_and_confidence(tmp_path):
    image = torch.zeros(1, 3, 32, 48)
    pseudo = PseudoLabels(torch.full((1, 32, 48), 5), torch.full((1, 32, 48), 0.5), torch.tensor(0.25))
    sheet = preview(Batch(image, torch.zeros(1, 1, 32, 48), image), branch(image, 3), branch(image, 7, pseudo), MADM11)
    assert sheet.shape == (3 * TILE, 4 * 48, 3)
    assert tuple(sheet[TILE + 40, 48 + 24]) == MADM11.colors[5]
    assert tuple(sheet[TILE + 40, 96 + 24]) == (127, 127, 127)
    save_preview(tmp_path / "previews/x.png", sheet)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "previews/x.png"))[:, :, ::-1], sheet)
