"""Projections: one residual block a scale that brings the backbone's features to the head's widths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ProjectionBlock(nn.Module):
    """ResNet bottleneck (1x1, 3x3, 1x1 convolutions and a 1x1 shortcut) with group normalisation (algorithm.md 2.4).

    Args:
        in_channels: Channels of the input.
        channels: Channels between the convolutions.
        out_channels: Channels of the output.
        groups: Groups of every normalisation.
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int, groups: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.norm3 = nn.GroupNorm(groups, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.shortcut_norm = nn.GroupNorm(groups, out_channels)
        for conv in (self.conv1, self.conv2, self.conv3, self.shortcut):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, feature: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h, w), not negative."""
        hidden = torch.relu(self.norm1(self.conv1(feature)))
        hidden = torch.relu(self.norm2(self.conv2(hidden)))
        hidden = self.norm3(self.conv3(hidden))
        return torch.relu(hidden + self.shortcut_norm(self.shortcut(feature)))


class FeatureProjections(nn.Module):
    """One :class:`ProjectionBlock` for each of the scales s0 (decoded image), s3, s4 and s5.

    Args:
        in_channels: Channels of the backbone's features, finest first.
        out_channels: Channels after projection, finest first.
        bottleneck: Channels inside every block.
        groups: Groups of every normalisation.
    """

    def __init__(
        self, in_channels: Sequence[int], out_channels: Sequence[int], bottleneck: int = 128, groups: int = 32
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            ProjectionBlock(inner, bottleneck, outer, groups)
            for inner, outer in zip(in_channels, out_channels, strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Project s0, s3, s4, s5, each (B, in_i, h_i, w_i), to (B, out_i, h_i, w_i)."""
        return tuple(block(feature) for block, feature in zip(self.scales, features, strict=True))
