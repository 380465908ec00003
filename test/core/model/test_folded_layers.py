"""Every folded layer computes what the layer that it comes from computes."""

import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from madm_core.model.folded_layers import (
    DoublingConvolution,
    FoldedResnet,
    FoldedTransformer,
    HalvingConvolution,
    ImageAttention,
    joined_convolution,
)


def randomised(module: nn.Module) -> nn.Module:
    """Random everywhere, biases and normalisations too: what is zero or one at first would hide a mistake."""
    generator = torch.Generator().manual_seed(3)
    for tensor in module.parameters():
        tensor.data.normal_(0, 0.3, generator=generator)
    return module.eval().requires_grad_(False)


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()


def feature(channels: int, height: int = 10, width: int = 14, batch: int = 2) -> Tensor:
    return torch.randn((batch, channels, height, width), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("width", [8, 12])
def test_a_residual_block_at_a_constant_time(width: int) -> None:
    block = randomised(ResnetBlock2D(in_channels=8, out_channels=width, temb_channels=20, groups=4))
    time = torch.randn(1, 20, generator=torch.Generator().manual_seed(5))
    folded = FoldedResnet(block, time)
    assert_same(folded(feature(8)), block(feature(8), time))
    assert folded.conv1.weight is block.conv1.weight  # shared, not copied
    assert not any("time" in name for name, _ in folded.named_parameters())


def test_a_residual_block_of_the_autoencoder() -> None:
    block = randomised(ResnetBlock2D(in_channels=8, temb_channels=None, groups=4, output_scale_factor=2.0))
    assert_same(FoldedResnet(block, None)(feature(8)), block(feature(8), None))


@pytest.mark.filterwarnings("ignore:.Transformer2DModelOutput:FutureWarning")
@pytest.mark.parametrize("linear_projection", [False, True])
@pytest.mark.parametrize("joined", [False, True])
def test_a_transformer_with_a_constant_prompt(linear_projection: bool, joined: bool) -> None:
    transformer = randomised(
        Transformer2DModel(2, 8, 16, norm_num_groups=4, cross_attention_dim=24, use_linear_projection=linear_projection)
    )
    context = torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(6))
    folded = FoldedTransformer(transformer, context, joined=joined)
    expected = transformer(feature(16), encoder_hidden_states=context.expand(2, -1, -1)).sample
    assert_same(folded(feature(16)), expected)
    assert_same(folded(feature(16).contiguous(memory_format=torch.channels_last)), expected)
    assert not any("to_k" in name or "to_v" in name for name, _ in folded.named_parameters())


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 8)])
def test_doubling_is_one_transposed_convolution(size: tuple[int, int]) -> None:
    upsampler = randomised(Upsample2D(6, use_conv=True, out_channels=9))
    folded = DoublingConvolution(upsampler.conv, any_size=True)
    image = feature(6, *size)
    assert_same(folded(image), upsampler(image))
    odd = torch.Size((2 * size[0] - 1, 2 * size[1]))  # what a level of odd size has on its way up
    assert_same(folded(image, odd), upsampler(image, odd))


def test_doubling_needs_four_ninths_of_the_arithmetic() -> None:
    upsampler = randomised(Upsample2D(8, use_conv=True))
    flops = []
    for layer in (upsampler, DoublingConvolution(upsampler.conv)):
        with FlopCounterMode(display=False) as counter:
            layer(feature(8, 16, 16))
        flops.append(counter.get_total_flops())
    assert flops[1] == flops[0] * 4 / 9


def test_halving_pads_below_and_to_the_right() -> None:
    conv = randomised(nn.Conv2d(4, 6, 3, stride=2))
    assert_same(HalvingConvolution(conv)(feature(4)), conv(nn.functional.pad(feature(4), (0, 1, 0, 1))))


def test_attention_over_an_image() -> None:
    attention = randomised(
        Attention(16, heads=2, dim_head=8, norm_num_groups=4, residual_connection=True, bias=True, eps=1e-6)
    )
    assert_same(ImageAttention(attention)(feature(16)), attention(feature(16)))


def test_two_convolutions_as_one() -> None:
    first, second = randomised(nn.Conv2d(5, 8, 3, padding=1)), randomised(nn.Conv2d(8, 6, 1))
    joined = joined_convolution(first, second, between=0.4, after=3.0, channels=2)
    assert_same(joined(feature(5)), 3.0 * second(0.4 * first(feature(5)))[:, :2])
