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
from madm_core.events.scatter_grid import scatter_voxel_grid


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
        ``t_end == t_start`` bin 0 takes all events of that time.

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
    device = _accelerator(columns)
    if device is not None:
        return _scattered(_as_tensors(columns, device), bins, height, width, t_start, t_end)
    arrays = _as_arrays(columns)
    x, y, t, p = arrays["x"], arrays["y"], arrays["t"], arrays["p"]
    if len(t) == 0:
        return torch.zeros(bins, height, width)
    t_start, t_end = _bounds(t, t_start, t_end)
    if t.dtype.kind in "iub" and float(t_start).is_integer() and float(t_end).is_integer():
        plan = np.empty(registers.REGISTERS, np.int64)
        if segments.plan_window(plan, int(t_start), int(t_end), bins, width, height):
            return torch.from_numpy(_accumulate(x, y, t, p, plan))
    exact = np.zeros((bins, height, width), np.float64)
    accumulation.accumulate_float(x, y, _positions(t, t_start, t_end, bins), p, exact)
    return torch.from_numpy(exact.astype(np.float32))


def _accelerator(columns: dict[str, Any]) -> torch.device | None:
    devices = [column.device for column in columns.values() if torch.is_tensor(column)]
    return next((device for device in devices if device.type != "cpu"), None)


def _scattered(
    events: dict[str, torch.Tensor], bins: int, height: int, width: int, t_start: float | None, t_end: float | None
) -> torch.Tensor:
    if len(events["t"]) == 0:
        return torch.zeros(bins, height, width, device=events["t"].device)
    start, end = _bounds(events["t"], t_start, t_end)
    return scatter_voxel_grid(**events, bins=bins, height=height, width=width, t_start=start, t_end=end)


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


def _bounds(t: NDArray[Any] | torch.Tensor, t_start: float | None, t_end: float | None) -> tuple[float, float]:
    start = t[0].item() if t_start is None else t_start
    end = t[-1].item() if t_end is None else t_end
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
    return np.asarray(offset * (bins - 1) / (t_end - t_start))


def _as_arrays(columns: dict[str, Any]) -> dict[str, NDArray[Any]]:
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    _require_one_length({name: array.shape for name, array in arrays.items()})
    for name in ("x", "y"):
        if arrays[name].dtype.kind == "f":
            whole = np.rint(arrays[name])
            _require_whole(name, np.array_equal(whole, arrays[name]) and np.isfinite(whole).all())
            arrays[name] = whole.astype(np.int64)
    if arrays["t"].dtype.kind in "iub":
        arrays["t"] = arrays["t"].astype(np.int64, copy=False)
    else:
        # Beside an array of single precision NumPy rounds t_start to it, too.
        arrays["t"] = arrays["t"].astype(np.float64, copy=False)
        _require_finite_times(np.isfinite(arrays["t"]).all())
    return arrays


def _as_tensors(columns: dict[str, Any], device: torch.device) -> dict[str, torch.Tensor]:
    """On the device; x, y and whole times as int64."""
    tensors = {}
    for name, column in columns.items():
        if not torch.is_tensor(column):
            array = np.asarray(column)  # torch takes neither foreign byte orders nor negative strides
            column = torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
        tensors[name] = column.to(device)
    _require_one_length({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    for name in ("x", "y"):
        if tensors[name].is_floating_point():
            _require_whole(name, bool((tensors[name].frac() == 0).all()))  # of NaN and inf it is NaN
        tensors[name] = tensors[name].long()
    if tensors["t"].is_floating_point():
        _require_finite_times(bool(tensors["t"].isfinite().all()))
    else:
        tensors["t"] = tensors["t"].long()
    return tensors


def _require_one_length(sizes: dict[str, tuple[int, ...]]) -> None:
    if len(set(sizes.values())) != 1 or len(sizes["t"]) != 1:
        raise InvalidInputError(
            "the events' arrays do not belong together", reason="size", got=sizes, expected="four arrays of shape (N,)"
        )


def _require_whole(name: str, holds: bool) -> None:
    if not holds:
        raise InvalidInputError(
            f"{name} holds more than whole numbers of pixels",
            reason="coordinates",
            got="fractions, NaN or inf",
            expected="whole numbers",
            do="round rectified coordinates with np.rint, or give EventStream a PixelMap",
        )


def _require_finite_times(holds: bool) -> None:
    if not holds:
        raise InvalidInputError("an event's time is not finite", reason="time", got="NaN or inf", expected="numbers")
