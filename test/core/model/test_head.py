"""The segmentation head in training; its numbers are tested in test_golden_parity.py."""

import copy

import pytest
import torch
from torch import Tensor, nn

from madm_core.model.head import SegmentationHead, _statistics_kept


@pytest.fixture
def head() -> SegmentationHead:
    torch.manual_seed(3)
    return SegmentationHead((8, 12, 12, 12), embedding=8, channels=16, classes=5)


@pytest.fixture
def features() -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    shapes = ((8, 48, 40), (12, 6, 5), (12, 3, 3), (12, 2, 2))
    return [torch.randn((2, *shape), generator=generator) for shape in shapes]


def test_logits_have_the_finest_scale(head: SegmentationHead, features: list[Tensor]) -> None:
    assert head(features).shape == (2, 5, 48, 40)


def test_dropout_drops_whole_channels_with_one_decision_an_image(
    head: SegmentationHead, features: list[Tensor]
) -> None:
    seen: list[Tensor] = []
    head.dropout.register_forward_hook(lambda _module, inputs, output: seen.append(output / inputs[0]))
    head.dropout.p = 0.5
    head(features)
    ratio = torch.nan_to_num(seen[0].detach(), nan=-1.0)  # 0 / 0 where the ReLU gave 0
    per_channel = ratio.flatten(2).amax(dim=2)
    assert ((per_channel == 0) | (per_channel == 2) | (per_channel == -1)).all()
    assert (per_channel == 0).any()
    assert (per_channel == 2).any()
    assert ((ratio == -1) | (ratio == per_channel[:, :, None, None])).all()


def test_checkpointing_changes_neither_gradients_nor_statistics(head: SegmentationHead, features: list[Tensor]) -> None:
    results = []
    for checkpointed in (False, True):
        candidate = copy.deepcopy(head)
        inputs = [feature.clone().requires_grad_() for feature in features]
        if checkpointed:
            candidate.enable_gradient_checkpointing()
        torch.manual_seed(5)  # dropout
        logits = candidate(inputs)
        logits.square().mean().backward()
        gradients = {name: parameter.grad for name, parameter in candidate.named_parameters()}
        gradients |= {f"input {index}": tensor.grad for index, tensor in enumerate(inputs)}
        results.append((logits, gradients, dict(candidate.named_buffers())))
    (logits, gradients, buffers), (logits_again, gradients_again, buffers_again) = results
    torch.testing.assert_close(logits_again, logits)
    assert all(gradient is not None for gradient in gradients.values())
    torch.testing.assert_close(gradients_again, gradients)
    torch.testing.assert_close(buffers_again, buffers)


def test_checkpointing_keeps_less_for_the_backward_pass(head: SegmentationHead, features: list[Tensor]) -> None:
    kept = {}
    for checkpointed in (False, True):
        head.gradient_checkpointing = checkpointed
        sizes: dict[int, int] = {}

        def remember(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
            head(features)
        kept[checkpointed] = sum(sizes.values())
    assert kept[True] < 0.5 * kept[False]


def test_checkpointing_knows_synchronised_statistics_too(head: SegmentationHead) -> None:
    branch = nn.SyncBatchNorm.convert_sync_batchnorm(head.dilated_branches[0])
    norms = [module for module in branch.modules() if isinstance(module, nn.SyncBatchNorm)]
    with _statistics_kept(branch):
        assert [norm.momentum for norm in norms] == [0.0, 0.0]
    assert [norm.momentum for norm in norms] == [0.1, 0.1]


def test_normalisation_uses_the_batch_in_training_only(head: SegmentationHead, features: list[Tensor]) -> None:
    head.dropout.p = 0.0
    before = copy.deepcopy(head.fusion.norm.running_mean)
    trained = head(features)
    assert not torch.equal(head.fusion.norm.running_mean, before)
    assert not torch.allclose(head.eval()(features), trained)


def test_initial_weights(head: SegmentationHead) -> None:
    """Kaiming by fan-out for the convolutions with normalisation; PyTorch's defaults for the classifier."""
    deviation = head.fusion.conv.weight.std().item()
    assert deviation == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.05)
    norms = [module for module in head.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)
    assert head.classifier.weight.abs().max() <= 1 / 16**0.5
