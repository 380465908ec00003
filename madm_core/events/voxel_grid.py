"""The voxel grid of a set of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from madm_core.errors import InvalidInputError
from madm_core.events import accumulation, folding, registers, segments
from madm_core.events.grid_accumulator import NO_MAP
from madm_core.events.grid_memory import empty_sums, recycled_grid

CUDA_CHUNK = 4_000_000
"""Events scattered at once on a GPU, which bounds the temporary memory to about 200 MB."""


def voxel_grid(
    x: Any,
    y: Any,
    t: Any,
    p: Any,
    *,
    bins: int,
    height: int,
    width: int,
    t_start: float | None = None,
    t_end: float | None = None,
) -> torch.Tensor:
    """Accumulate events into a voxel grid.

    With t* = (bins - 1) (t - t_start) / (t_end - t_start), every event adds its sign times max(0, 1 - abs(b - t*)) to
    bin b at (y, x). Source: Zhu, Yuan, Chaney, Daniilidis, "Unsupervised Event-Based Learning of Optical Flow, Depth,
    and Egomotion", CVPR 2019, section 3.1; the form used by E2VID and DSEC. Events outside the frame are dropped.

    Args:
        x: (N,) pixel columns, whole numbers; NumPy array or torch tensor.
        y: (N,) pixel rows.
        t: (N,) times in any unit. In order is fastest; any order is correct.
        p: (N,) polarities: 0/1, -1/+1 or bool.
        bins: Number of time bins, at least 1.
        height: Rows of the grid.
        width: Columns of the grid.
        t_start: Time of bin 0; None for the first event's time.
        t_end: Time of the last bin; None for the last event's time.

    Returns:
        float32 (bins, height, width) on the events' device, within 1e-5 of exact arithmetic or, where sums are
        large, one part in a million; on the CPU the same bits in every run. Without events it is zero, and with
        ``t_end == t_start`` bin 0 takes all.

    Raises:
        InvalidInputError: Arrays of different lengths, coordinates that are not whole numbers, times that are not
            finite, or bounds that are out of order.
    """
    if bins < 1 or height < 1 or width < 1:
        raise InvalidInputError(
            "a voxel grid cannot have this shape",
            reason="size",
            got=f"bins={bins}, height={height}, width={width}",
            expected="at least 1 each",
        )
    columns = {"x": x, "y": y, "t": t, "p": p}
    if any(torch.is_tensor(column) and column.device.type != "cpu" for column in columns.values()):
        device = next(c.device for c in columns.values() if torch.is_tensor(c) and c.device.type != "cpu")
        return scatter_voxel_grid(
            *(torch.as_tensor(column, device=device) for column in columns.values()),
            bins=bins, height=height, width=width, t_start=t_start, t_end=t_end,
        )  # fmt: skip
    arrays = _as_arrays(columns)
    x, y, t, p = arrays["x"], arrays["y"], arrays["t"], arrays["p"]
    if len(t) == 0:
        return torch.zeros(bins, height, width)
    t_start, t_end = _bounds(t[0].item(), t[-1].item(), t_start, t_end)
    if t.dtype.kind in "iub" and float(t_start).is_integer() and float(t_end).is_integer():
        plan = np.empty(registers.REGISTERS, np.int64)
        if segments.plan_window(plan, int(t_start), int(t_end), bins, width, height):
            return torch.from_numpy(_accumulate(x, y, t, p, plan))
    exact = np.zeros((bins, height, width), np.float64)
    accumulation.accumulate_float(x, y, _positions(t, t_start, t_end, bins), p, exact)
    return torch.from_numpy(exact.astype(np.float32))


def scatter_voxel_grid(
    x: torch.Tensor,
    y: torch.Tensor,
    t: torch.Tensor,
    p: torch.Tensor,
    *,
    bins: int,
    height: int,
    width: int,
    t_start: float | None = None,
    t_end: float | None = None,
) -> torch.Tensor:
    """Do what :func:`voxel_grid` does by torch operations, for tensors on an accelerator.

    The order of the sums, and so the last bits of the result, may vary there.
    """
    device = t.device
    grid = torch.zeros(bins * height * width + 1, dtype=torch.float64, device=device)
    nowhere = bins * height * width
    if len(t):
        t_start, t_end = _bounds(t[0].item(), t[-1].item(), t_start, t_end)
        scale = (bins - 1) / (t_end - t_start) if t_end > t_start else 0.0
        for first in range(0, len(t), CUDA_CHUNK):
            part = slice(first, first + CUDA_CHUNK)
            px, py = x[part].long(), y[part].long()
            inside = (px >= 0) & (px < width) & (py >= 0) & (py < height)
            # Times are made small before they lose digits; float64, since microseconds of a day exceed float32.
            position = (t[part] - t_start).to(torch.float64) * scale
            lower = position.floor()
            later = position - lower
            sign = (p[part] > 0).to(torch.float64) * 2 - 1
            for bin_index, weight in ((lower.long(), 1 - later), (lower.long() + 1, later)):
                keep = inside & (bin_index >= 0) & (bin_index < bins)
                index = torch.where(keep, (bin_index * height + py) * width + px, nowhere)
                grid.index_add_(0, index, torch.where(keep, sign * weight, torch.zeros_like(weight)))
    return grid[:-1].view(bins, height, width).float()


def _accumulate(
    x: NDArray[Any], y: NDArray[Any], t: NDArray[Any], p: NDArray[Any], plan: NDArray[np.int64]
) -> NDArray[np.float32]:
    bins, width, height = (int(plan[i]) for i in (registers.BINS, registers.WIDTH, registers.HEIGHT))
    grid = recycled_grid(bins, height * width)
    sums, wide = empty_sums(height * width)
    added = accumulation.accumulate_columns(x, y, t, p, NO_MAP, plan, sums, wide, grid)
    if added < len(t):
        order = added + np.argsort(t[added:], kind="stable")
        plan[registers.TURNS] = 0
        accumulation.accumulate_columns(x[order], y[order], t[order], p[order], NO_MAP, plan, sums, wide, grid)
    folding.finish(plan, sums, wide, grid)
    return grid.reshape(bins, height, width)


def _bounds(first: float, last: float, t_start: float | None, t_end: float | None) -> tuple[float, float]:
    start = first if t_start is None else t_start
    end = last if t_end is None else t_end
    if not (np.isfinite(start) and np.isfinite(end) and start <= end):
        raise InvalidInputError(
            "the bounds of a voxel grid are out of order",
            reason="time",
            got=f"t_start={start}, t_end={end}",
            expected="finite times with t_start <= t_end",
            do="sort the events by time, or give t_start and t_end",
        )
    return start, end


def _positions(t: NDArray[Any], t_start: float, t_end: float, bins: int) -> NDArray[np.float64]:
    if bins == 1 or t_end == t_start:
        return np.where(t == t_start, 0.0, 0.0 if bins == 1 else np.inf)
    # Whole times are made small before they become floats, which would lose digits of nanoseconds.
    whole = np.floor(t_start)
    offset = t - t_start if t.dtype.kind == "f" else t - np.int64(whole) - (t_start - whole)
    return np.asarray(offset, np.float64) * (bins - 1) / (t_end - t_start)


def _as_arrays(columns: dict[str, Any]) -> dict[str, NDArray[Any]]:
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    sizes = {name: array.shape for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or arrays["t"].ndim != 1:
        raise InvalidInputError(
            "the events' arrays do not belong together", reason="size", got=sizes, expected="four arrays of shape (N,)"
        )
    for name in ("x", "y"):
        if arrays[name].dtype.kind == "f":
            whole = np.rint(arrays[name])
            if not (np.array_equal(whole, arrays[name]) and np.isfinite(whole).all()):
                raise InvalidInputError(
                    f"{name} holds more than whole numbers of pixels",
                    reason="coordinates",
                    got="fractions, NaN or inf",
                    expected="whole numbers",
                    do="round rectified coordinates with np.rint, or give EventStream a PixelMap",
                )
            arrays[name] = whole.astype(np.int64)
    if arrays["t"].dtype.kind in "iub":
        arrays["t"] = arrays["t"].astype(np.int64, copy=False)
    elif not np.isfinite(arrays["t"]).all():
        raise InvalidInputError("an event's time is not finite", reason="time", got="NaN or inf", expected="numbers")
    return arrays
