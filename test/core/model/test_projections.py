"""The feature projections; their numbers are tested in test_golden_parity.py."""

import pytest
import torch

from madm_core.model.projections import FeatureProjections, ProjectionBlock


def test_each_scale_keeps_its_size_and_gets_its_width() -> None:
    projections = FeatureProjections((3, 16, 32, 48), (32, 64, 64, 96), bottleneck=32)
    features = [torch.randn(2, c, s, s + 1) for c, s in ((3, 32), (16, 8), (32, 4), (48, 2))]
    shapes = [tuple(projected.shape) for projected in projections(features)]
    assert shapes == [(2, 32, 32, 33), (2, 64, 8, 9), (2, 64, 4, 5), (2, 96, 2, 3)]


def test_the_shortcut_alone() -> None:
    """With the last normalisation silenced the block is its normalised shortcut after a ReLU."""
    block = ProjectionBlock(8, 32, 64)
    feature = torch.randn((2, 8, 5, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        block.norm3.weight.zero_()
        expected = block.shortcut_norm(block.shortcut(feature)).relu()
        torch.testing.assert_close(block(feature), expected)


def test_initial_weights() -> None:
    torch.manual_seed(0)
    block = ProjectionBlock(64, 128, 512)
    assert block.conv2.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.03)
    assert block.conv3.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.03)
    assert all(conv.bias is None for conv in (block.conv1, block.conv2, block.conv3, block.shortcut))


def test_as_many_features_as_scales() -> None:
    with pytest.raises(ValueError, match="shorter"):
        FeatureProjections((3, 16), (32, 64), bottleneck=32)([torch.zeros(1, 3, 8, 8)])
