"""The voxel grid by torch operations, for events that are on an accelerator already."""

from __future__ import annotations

import math

import torch

EVENTS_AT_ONCE = 4_000_000
"""Events scattered at once, which bounds the temporary memory to about 200 MB."""


def scatter_voxel_grid(
    x: torch.Tensor,
    y: torch.Tensor,
    t: torch.Tensor,
    p: torch.Tensor,
    *,
    bins: int,
    height: int,
    width: int,
    t_start: float,
    t_end: float,
) -> torch.Tensor:
    """Do what :func:`madm_core.events.voxel_grid` does, on the tensors' device.

    The order of the sums, and so the last bits of the result, may vary on a GPU.

    Args:
        x: (N,) int64 pixel columns.
        y: (N,) int64 pixel rows.
        t: (N,) int64 or floating times.
        p: (N,) polarities; more than 0 is ON.
        bins: Number of time bins.
        height: Rows of the grid.
        width: Columns of the grid.
        t_start: Time of bin 0.
        t_end: Time of the last bin, not before ``t_start``.

    Returns:
        float32 (bins, height, width).
    """
    nowhere = bins * height * width
    grid = torch.zeros(nowhere + 1, dtype=torch.float64, device=t.device)
    for first in range(0, len(t), EVENTS_AT_ONCE):
        part = slice(first, first + EVENTS_AT_ONCE)
        px, py = x[part], y[part]
        inside = (px >= 0) & (px < width) & (py >= 0) & (py < height)
        position = _positions(t[part], t_start, t_end, bins)
        lower = position.floor()
        later = position - lower
        sign = (p[part] > 0).to(torch.float64) * 2 - 1
        for bin_index, weight in ((lower, 1 - later), (lower + 1, later)):
            keep = inside & (bin_index >= 0) & (bin_index < bins)
            index = (bin_index.long() * height + py) * width + px
            grid.index_add_(0, torch.where(keep, index, nowhere), torch.where(keep, sign * weight, 0.0))
    return grid[:-1].view(bins, height, width).float()


def _positions(t: torch.Tensor, t_start: float, t_end: float, bins: int) -> torch.Tensor:
    """(N,) float64 bins; -2, which no bin reaches, for what a window without length does not take."""
    if bins == 1 or t_end == t_start:
        taken = (t == t_start) | (bins == 1)
        return torch.where(taken, 0.0, -2.0).to(torch.float64)
    if t.is_floating_point():
        offset = t.to(torch.float64) - t_start
    else:
        # Whole times are made small before they become floats, which would lose digits: torch takes a Python float to
        # be of single precision beside integers.
        whole = math.floor(t_start)
        offset = (t - whole).to(torch.float64) - (t_start - whole)
    return offset * (bins - 1) / (t_end - t_start)
