"""Layers of a diffusion network whose noise level and prompt are constants: the same functions with less to compute.

All identities are exact but for rounding:

* A residual block adds a projection of the time embedding between its convolutions. At a constant time that is a part
  of the first convolution's bias.
* Cross-attention reads a constant prompt, so its keys and values are constants.
* Queries, keys and values of self-attention come from one matrix product instead of three.
* Doubling an image by repeating pixels and convolving it with a 3x3 kernel is a transposed convolution with a 4x4
  kernel, which needs 4 multiplications where the other needs 9 (each output pixel sees 2x2 different pixels only).

Weights are shared with the layers they come from, not copied, unless they change. So models that share a base go on
sharing it.
"""

from __future__ import annotations

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, interpolate, linear, pad, scaled_dot_product_attention, silu


class FoldedResnet(nn.Module):
    """A residual block at a constant time.

    Args:
        resnet: The block.
        time: (1, time width) time embedding; None for the autoencoder's blocks, which have none.
    """

    @torch.no_grad()
    def __init__(self, resnet: ResnetBlock2D, time: Tensor | None) -> None:
        super().__init__()
        self.norm1, self.norm2, self.conv2 = resnet.norm1, resnet.norm2, resnet.conv2
        self.shortcut: nn.Module = resnet.conv_shortcut or nn.Identity()
        self.scale = 1.0 / float(resnet.output_scale_factor)
        bias = resnet.conv1.bias
        if time is not None and resnet.time_emb_proj is not None:
            projection = resnet.time_emb_proj
            bias = wide(bias) + linear(silu(time), wide(projection.weight), wide(projection.bias))[0]
        self.conv1 = _convolution_like(resnet.conv1, resnet.conv1.weight, bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h, w)."""
        added: Tensor = self.conv2(silu(self.norm2(self.conv1(silu(self.norm1(hidden))))))
        added = added + self.shortcut(hidden)
        return added if self.scale == 1.0 else added * self.scale


class FoldedTransformer(nn.Module):
    """A U-Net's transformer for a constant prompt.

    Args:
        transformer: The transformer.
        context: (1, tokens, width) prompt, at least in float32.
        joined: Join the projections of self-attention to one, which copies their weights. False keeps the layers as
            they are, with any adapters that are on them.
    """

    def __init__(self, transformer: Transformer2DModel, context: Tensor, *, joined: bool) -> None:
        super().__init__()
        self.norm = transformer.norm
        self.proj_in, self.proj_out = transformer.proj_in, transformer.proj_out
        self.blocks = nn.ModuleList(
            _FoldedBlock(block, context, joined=joined) for block in transformer.transformer_blocks
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        batch, _, height, width = hidden.shape
        tokens = self.norm(hidden).permute(0, 2, 3, 1).reshape(batch, height * width, -1)
        tokens = _pointwise(self.proj_in, tokens)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = _pointwise(self.proj_out, tokens)
        return hidden + tokens.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


class _FoldedBlock(nn.Module):
    """One transformer block: tokens (B, n, C) -> (B, n, C)."""

    keys: Tensor
    values: Tensor

    @torch.no_grad()
    def __init__(self, block: BasicTransformerBlock, context: Tensor, *, joined: bool) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3, self.ff = block.norm1, block.norm2, block.norm3, block.ff
        own, cross = block.attn1, block.attn2
        self.heads = int(own.heads)
        self.projections = nn.ModuleList([_joined(own)] if joined else [own.to_q, own.to_k, own.to_v])
        self.out, self.cross_query, self.cross_out = own.to_out[0], cross.to_q, cross.to_out[0]
        for name, layer in (("keys", cross.to_k), ("values", cross.to_v)):
            # Through the layer itself where it may carry an adapter, else at least in float32.
            constant = linear(context, wide(layer.weight)) if joined else layer(context.to(layer.weight.dtype))
            self.register_buffer(name, _split(constant, self.heads).contiguous(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        found = [layer(normed) for layer in self.projections]
        query, key, value = found if len(found) == 3 else found[0].chunk(3, dim=-1)
        tokens = tokens + self.out(_attention(query, _split(key, self.heads), _split(value, self.heads), self.heads))
        batch = tokens.shape[0]
        keys, values = (constant.expand(batch, -1, -1, -1) for constant in (self.keys, self.values))
        tokens = tokens + self.cross_out(_attention(self.cross_query(self.norm2(tokens)), keys, values, self.heads))
        fed: Tensor = self.ff(self.norm3(tokens))
        return tokens + fed


class DoublingConvolution(nn.Module):
    """Repeats every pixel twice in both directions and convolves the result with a 3x3 kernel, at less than the cost.

    Args:
        conv: The 3x3 convolution with padding 1.
        any_size: Also keep the convolution as it is, for results that are one pixel short of the double.
    """

    @torch.no_grad()
    def __init__(self, conv: nn.Conv2d, *, any_size: bool = False) -> None:
        super().__init__()
        out_channels, in_channels = conv.weight.shape[:2]
        weight = wide(conv.weight)
        kernel = weight.new_zeros((out_channels, in_channels, 4, 4))
        for row in range(2):
            for column in range(2):
                kernel[:, :, row : row + 3, column : column + 3] += weight
        # A transposed convolution reads its kernel backwards, and has its input channels first.
        self.kernel = nn.Parameter(kernel.flip(2, 3).transpose(0, 1).contiguous(), requires_grad=False)
        self.bias = conv.bias
        self.plain = conv if any_size else None

    def forward(self, hidden: Tensor, size: torch.Size | None = None) -> Tensor:
        """(B, in, h, w) -> (B, out, 2h, 2w), or the ``size`` asked for, which is at most one pixel smaller."""
        height, width = hidden.shape[-2:]
        if size is not None and self.plain is not None and tuple(size) != (2 * height, 2 * width):
            result: Tensor = self.plain(interpolate(hidden, size=size, mode="nearest"))
            return result
        return conv_transpose2d(hidden, self.kernel, self.bias, stride=2, padding=1)


class HalvingConvolution(nn.Module):
    """The autoencoder's 3x3 convolution of stride 2, whose border is below and to the right only."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h/2, w/2)."""
        halved: Tensor = self.conv(pad(hidden, (0, 1, 0, 1)))
        return halved


class ImageAttention(nn.Module):
    """The autoencoder's self-attention over all pixels.

    Args:
        attention: The attention, with its own normalisation and residual connection.
    """

    @torch.no_grad()
    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.norm, self.heads = attention.group_norm, int(attention.heads)
        self.projection, self.out = _joined(attention), attention.to_out[0]
        self.scale = 1.0 / float(attention.rescale_output_factor)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        batch, _, height, width = hidden.shape
        tokens = self.norm(hidden).permute(0, 2, 3, 1).reshape(batch, height * width, -1)
        query, key, value = self.projection(tokens).chunk(3, dim=-1)
        tokens = self.out(_attention(query, _split(key, self.heads), _split(value, self.heads), self.heads))
        attended: Tensor = hidden + tokens.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        return attended if self.scale == 1.0 else attended * self.scale


@torch.no_grad()
def joined_convolution(
    first: nn.Conv2d, second: nn.Conv2d, *, between: float = 1.0, after: float = 1.0, channels: int | None = None
) -> nn.Conv2d:
    """Two convolutions in a row as one, the second of which has a 1x1 kernel.

    Args:
        first: Any convolution with a bias.
        second: A 1x1 convolution with a bias.
        between: What the first one's output is multiplied with.
        after: What the result is multiplied with.
        channels: How many of the second one's outputs are wanted, from the first on; all when None.
    """
    assert first.bias is not None and second.bias is not None
    mixing = second.weight[:channels, :, 0, 0].double() * (between * after)
    weight = torch.einsum("om,mikl->oikl", mixing, first.weight.double())
    bias = mixing @ first.bias.double() + second.bias[:channels].double() * after
    return _convolution_like(first, weight.to(first.weight.dtype), bias)


def wide(tensor: Tensor) -> Tensor:
    """A tensor in float32, or in float64 if it is: what constants are computed in."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _attention(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """(B, n, C) queries with keys and values (B, heads, m, C / heads) -> (B, n, C)."""
    attended: Tensor = scaled_dot_product_attention(_split(query, heads), keys, values)
    return attended.transpose(1, 2).flatten(2)


def _split(tokens: Tensor, heads: int) -> Tensor:
    """(B, n, C) -> (B, heads, n, C / heads)."""
    return tokens.reshape(*tokens.shape[:-1], heads, -1).transpose(1, 2)


def _joined(attention: Attention) -> nn.Linear:
    """Query, key and value projections below one another."""
    layers = (attention.to_q, attention.to_k, attention.to_v)
    weight = torch.cat([layer.weight for layer in layers])
    joined = nn.Linear(weight.shape[1], weight.shape[0], bias=attention.to_q.bias is not None, device="meta")
    joined.weight = nn.Parameter(weight, requires_grad=False)
    if attention.to_q.bias is not None:
        joined.bias = nn.Parameter(torch.cat([layer.bias for layer in layers]), requires_grad=False)
    return joined


def _pointwise(layer: nn.Module, tokens: Tensor) -> Tensor:
    """A linear layer or a 1x1 convolution on (B, n, C) tokens."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    bias = layer.bias
    assert bias is None or isinstance(bias, Tensor)
    return linear(tokens, weight.flatten(1), bias)


def _convolution_like(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with the padding of another one; ``weight`` stays the same tensor, so that it can be shared."""
    made = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], padding=conv.padding, device="meta")  # type: ignore[arg-type]
    made.weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight, requires_grad=False)
    made.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    return made
