"""The segmentation head for inference: the same function with less arithmetic and memory.

Three identities are used, all exact but for rounding:

* A batch normalisation that follows a convolution is, in evaluation mode, a change of its weights and bias.
* A 1x1 convolution and bilinear upsampling commute, because the first mixes channels and the second pixels. So the 1x1
  branch, which needs no ReLU between embedding and itself, is applied at each scale's own resolution.
* Two linear maps in a row are one: that branch's weights are multiplied with the embeddings' beforehand.

What follows a ReLU at full resolution cannot be moved below the upsampling: the three dilated branches and the 3x3
fusion, which are most of the cost (docs/model.md has the table).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from madm_core.model.head import ConvNormRelu, SegmentationHead, upsample


class FoldedHead(nn.Module):
    """Computes what a :class:`madm_core.model.head.SegmentationHead` computes in evaluation mode.

    Args:
        head: The trained head; its tensors are copied. Later changes to it do not arrive here.
    """

    @torch.no_grad()
    def __init__(self, head: SegmentationHead) -> None:
        super().__init__()
        embeddings = [layer for layer in head.embeddings if isinstance(layer, nn.Linear)]
        self.embeddings = nn.ModuleList(_pointwise(layer.weight, layer.bias) for layer in embeddings)
        self.point_branch = nn.ModuleList(_point_branch(embeddings, _folded(head.point_branch)))
        self.dilated_branches = nn.ModuleList(
            nn.Sequential(
                _DilatedConvolution(_folded(branch[0])),
                nn.ReLU(inplace=True),
                _folded(branch[1]),
                nn.ReLU(inplace=True),
            )
            for branch in head.dilated_branches
            if isinstance(branch, nn.Sequential)
        )
        self.fusion = _folded(head.fusion)
        self.classifier = _pointwise(head.classifier.weight[:, :, 0, 0], head.classifier.bias)
        self.eval().requires_grad_(False)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Class logits (B, classes, H, W) of s0 (B, C0, H, W) and s3, s4, s5, as the plain head gives them."""
        size = features[0].shape[-2:]
        outputs = [self._point_output(features, size)]
        scales = zip(features, self.embeddings, strict=True)
        pyramid = torch.cat([upsample(embedding(feature), size) for feature, embedding in scales], dim=1)
        outputs += [branch(pyramid) for branch in self.dilated_branches]
        del pyramid  # a gigabyte at full size
        joined = torch.cat(outputs, dim=1)
        outputs.clear()
        logits: Tensor = self.classifier(self.fusion(joined).relu_())
        return logits

    def _point_output(self, features: Sequence[Tensor], size: torch.Size) -> Tensor:
        """The 1x1 branch: every scale's share at its own resolution, then their sum at the finest."""
        total: Tensor | None = None
        for feature, layer in zip(features, self.point_branch, strict=True):
            share = upsample(layer(feature), size)
            total = share if total is None else total.add_(share)
        assert total is not None  # there are four scales
        return total.relu_()


class _DilatedConvolution(nn.Module):
    """A dilated convolution whose columns are padded beforehand on a CPU.

    oneDNN's fast depthwise kernel takes no horizontal padding beyond a few pixels, and what it falls back to takes
    60 ms instead of 1 ms (64 channels, 96x192 pixels, dilation 18, one thread of a server's CPU).

    Args:
        conv: The convolution; its padding keeps the image's size.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.rows, self.columns = (int(side) for side in conv.padding)

    def forward(self, feature: Tensor) -> Tensor:
        if feature.device.type != "cpu":
            result: Tensor = self.conv(feature)
            return result
        conv, padded = self.conv, pad(feature, (self.columns, self.columns, 0, 0))
        return conv2d(padded, conv.weight, conv.bias, 1, (self.rows, 0), conv.dilation, conv.groups)


def _folded(layer: nn.Module) -> nn.Conv2d:
    """Convolution and normalisation as one convolution with bias."""
    assert isinstance(layer, ConvNormRelu)
    return fuse_conv_bn_eval(layer.conv.eval(), layer.norm.eval())


def _point_branch(embeddings: Sequence[nn.Linear], branch: nn.Conv2d) -> list[nn.Conv2d]:
    """Each scale's embedding times its share of the 1x1 branch; the finest scale gets the whole bias."""
    weight = branch.weight[:, :, 0, 0].double()
    shares = weight.split([layer.out_features for layer in embeddings], dim=1)
    products = [share @ layer.weight.double() for share, layer in zip(shares, embeddings, strict=True)]
    assert branch.bias is not None
    bias = branch.bias.double()
    for share, layer in zip(shares, embeddings, strict=True):
        bias = bias + share @ layer.bias.double()
    finest = _pointwise(products[0].float(), bias.float())
    return [finest, *(_pointwise(product.float(), None) for product in products[1:])]


def _pointwise(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A 1x1 convolution of a matrix (out, in) and a bias (out,)."""
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None)
    layer.weight.copy_(weight[:, :, None, None])
    if bias is not None and layer.bias is not None:
        layer.bias.copy_(bias)
    return layer
