"""The cheap head computes what the plain one computes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from madm_core.model.folded_head import FoldedHead
from madm_core.model.head import SegmentationHead
from madm_core.model.madm import MadmNetwork


def trained_looking(head: SegmentationHead) -> SegmentationHead:
    """Give the normalisations statistics and weights as they are after training."""
    generator = torch.Generator().manual_seed(8)
    for norm in (module for module in head.modules() if isinstance(module, nn.BatchNorm2d)):
        for tensor, low, high in (
            (norm.running_mean, -0.5, 0.5),
            (norm.running_var, 0.2, 3.0),
            (norm.weight.data, 0.3, 2.0),
            (norm.bias.data, -0.7, 0.7),
        ):
            assert tensor is not None
            tensor.uniform_(low, high, generator=generator)
    return head.eval()


def random_features(widths: tuple[int, ...], height: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(9)
    shapes = [(height, width), *(((height + s - 1) // s, (width + s - 1) // s) for s in (8, 16, 32))]
    return [
        torch.randn((1, channels, *shape), generator=generator) for channels, shape in zip(widths, shapes, strict=True)
    ]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 72), (32, 136)])
def test_agrees_with_the_plain_head_at_the_published_widths(height: int, width: int) -> None:
    widths = (128, 512, 512, 512)
    torch.manual_seed(1)
    head = trained_looking(SegmentationHead(widths, embedding=256, channels=256, classes=11))
    features = random_features(widths, height, width)
    with torch.inference_mode():
        expected, found = head(features), FoldedHead(head)(features)
    error = (found - expected).abs().max() / expected.abs().max()
    assert error <= 1e-5


def test_agrees_with_the_references_logits(golden: Path, golden_network: Callable[[int], MadmNetwork]) -> None:
    with np.load(golden / "head.npz") as arrays:
        features = [torch.from_numpy(arrays[scale]) for scale in ("s0", "s3", "s4", "s5")]
        expected = torch.from_numpy(arrays["logits_eval"])
    head = golden_network(128).head
    assert isinstance(head, SegmentationHead)
    error = (FoldedHead(head)(features) - expected).abs().max() / expected.abs().max()
    assert error <= 1e-5


def test_the_plain_head_is_left_as_it_was() -> None:
    head = trained_looking(SegmentationHead((8, 8, 8, 8), embedding=8, channels=8, classes=3))
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    features = random_features((8, 8, 8, 8), 32, 32)
    folded = FoldedHead(head)
    expected = folded(features)
    torch.testing.assert_close(dict(head.state_dict()), before, rtol=0, atol=0)
    with torch.no_grad():
        head.fusion.conv.weight.zero_()
    assert torch.equal(folded(features), expected)


def test_needs_less_arithmetic() -> None:
    widths = (128, 512, 512, 512)
    with torch.device("meta"):
        head = SegmentationHead(widths, embedding=256, channels=256, classes=11)
        features = [torch.empty((1, c, 512 // s, 512 // s)) for c, s in zip(widths, (1, 8, 16, 32), strict=True)]
    folded = FoldedHead(trained_looking(SegmentationHead(widths, embedding=256, channels=256, classes=11))).to("meta")
    flops: Mapping[str, int] = {"plain": _count(head.eval(), features), "folded": _count(folded, features)}
    assert flops["plain"] == pytest.approx(1.82e12, rel=0.01)  # the published network's
    assert flops["folded"] < 0.94 * flops["plain"]


def _count(head: nn.Module, features: list[Tensor]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head(features)
    return counter.get_total_flops()
