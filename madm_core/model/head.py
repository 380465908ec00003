"""The segmentation head: DAFormer's context-aware feature fusion (Hoyer et al. 2022) at the finest scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

DILATIONS = (6, 12, 18)
"""Dilations of the three depthwise separable branches; the first branch is a 1x1 convolution."""


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch normalisation, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Kernel size; the padding keeps the image's size.
        dilation: Distance of the kernel's taps in pixels.
        groups: Channel groups; ``in_channels`` makes the convolution depthwise.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, dilation: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, feature: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h, w)."""
        return torch.relu(self.norm(self.conv(feature)))


class SegmentationHead(nn.Module):
    """Fuses four scales at the resolution of the finest one into class logits (algorithm.md 2.5).

    Each scale is embedded by a linear layer; the embeddings are upsampled bilinearly to the finest scale, concatenated
    and fused by an atrous spatial pyramid (a 1x1 convolution and three dilated depthwise separable ones), a 3x3
    convolution, dropout of whole channels and a 1x1 classifier. This class is the plain form, which is also trained;
    :class:`madm_core.model.folded_head.FoldedHead` computes the same function cheaper for inference.

    Args:
        in_channels: Channels of s0, s3, s4, s5.
        embedding: Channels of each scale's embedding.
        channels: Channels of each branch and of the fused feature.
        classes: Number of classes.
        dropout: Probability that training drops a channel of the fused feature.
    """

    def __init__(
        self, in_channels: Sequence[int], embedding: int, channels: int, classes: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        fused = embedding * len(in_channels)
        self.embeddings = nn.ModuleList(nn.Linear(width, embedding) for width in in_channels)
        self.point_branch = ConvNormRelu(fused, channels, 1)
        self.dilated_branches = nn.ModuleList(
            nn.Sequential(ConvNormRelu(fused, fused, 3, dilation, groups=fused), ConvNormRelu(fused, channels, 1))
            for dilation in DILATIONS
        )
        self.fusion = ConvNormRelu(channels * (1 + len(DILATIONS)), channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, classes, 1)
        self.gradient_checkpointing = False

    def enable_gradient_checkpointing(self) -> None:
        """Forget each branch's inner activations in training and compute them again for its gradients.

        At full size they are most of the head's memory. Results and running statistics stay the same.
        """
        self.gradient_checkpointing = True

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Class logits.

        Args:
            features: s0 (B, C0, H, W) and s3, s4, s5 (B, Ci, hi, wi), as they come from the projections.

        Returns:
            (B, classes, H, W) logits at the resolution of s0.
        """
        size = features[0].shape[-2:]
        embedded = [embed(feature, layer) for feature, layer in zip(features, self.embeddings, strict=True)]
        branches: list[nn.Module] = [self.point_branch, *self.dilated_branches]
        if self.gradient_checkpointing and torch.is_grad_enabled():
            outputs = [_checkpointed(branch, embedded, size) for branch in branches]
        else:
            pyramid = _pyramid(embedded, size)
            outputs = [branch(pyramid) for branch in branches]
        fused = self.fusion(torch.cat(outputs, dim=1))
        logits: Tensor = self.classifier(self.dropout(fused))
        return logits


def _pyramid(embedded: Sequence[Tensor], size: torch.Size) -> Tensor:
    """All scales at the finest one's resolution, (B, 4 * embedding, H, W)."""
    return torch.cat([upsample(scale, size) for scale in embedded], dim=1)


def _checkpointed(branch: nn.Module, embedded: Sequence[Tensor], size: torch.Size) -> Tensor:
    """A branch's output, of which only the embedded scales are kept for the backward pass."""

    def run(*scales: Tensor) -> Tensor:
        output: Tensor = branch(_pyramid(scales, size))
        return output

    output: Tensor = checkpoint(
        run, *embedded, use_reentrant=False, context_fn=lambda: (nullcontext(), _statistics_kept(branch))
    )
    return output


@contextmanager
def _statistics_kept(branch: nn.Module) -> Iterator[None]:
    """Computing a branch a second time must not count the batch a second time in its running statistics."""
    norms = [module for module in branch.modules() if isinstance(module, _BatchNorm)]  # SyncBatchNorm is one too
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def embed(feature: Tensor, layer: nn.Module) -> Tensor:
    """Apply a linear layer to every pixel: (B, in, h, w) -> (B, out, h, w)."""
    assert isinstance(layer, nn.Linear)
    return conv2d(feature, layer.weight[:, :, None, None], layer.bias)


def upsample(feature: Tensor, size: torch.Size) -> Tensor:
    """Resize (B, C, h, w) bilinearly to ``size``; pixel centres are aligned, not corners."""
    if feature.shape[-2:] == size:
        return feature
    return interpolate(feature, size=size, mode="bilinear", align_corners=False)
