"""Every path of voxel_grid against the definition in float64."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from madm_core.errors import InvalidInputError
from madm_core.events import voxel_grid
from madm_core.events.event_array import make_events

voxel_grid_module = sys.modules["madm_core.events.voxel_grid"]  # the package has a function of that name

# Absolute, and the last digits of float32 where sums are large.
TOLERANCE = {"atol": 1e-5, "rtol": 1e-6}


@pytest.fixture(params=["processor", "accelerator"])
def path(request, monkeypatch):
    """Both ways of voxel_grid; the accelerator is the CPU, too."""
    if request.param == "accelerator":
        monkeypatch.setattr(voxel_grid_module, "_accelerator", lambda columns: torch.device("cpu"))
    return request.param


def columns(events):
    return tuple(np.ascontiguousarray(events[name]) for name in ("x", "y", "t", "p"))


@st.composite
def event_arrays(draw, in_order=True):
    count = draw(st.integers(1, 700))
    duration = draw(st.sampled_from([1, 7, 1000, 50_000, 3_000_000]))
    first = draw(st.sampled_from([0, -5000, 1_700_000_000_000_000]))
    t = draw(hnp.arrays(np.int64, count, elements=st.integers(0, duration))) + first
    x = draw(hnp.arrays(np.uint16, count, elements=st.integers(0, 20)))
    y = draw(hnp.arrays(np.uint16, count, elements=st.integers(0, 12)))
    p = draw(hnp.arrays(np.uint8, count, elements=st.integers(0, 1)))
    return make_events(x, y, np.sort(t) if in_order else t, p)


@settings(max_examples=120, deadline=None)
@given(events=event_arrays(), bins=st.integers(1, 9))
def test_any_events_in_order(reference_grid, events, bins):
    grid = voxel_grid(*columns(events), bins=bins, height=11, width=17)
    assert grid.dtype == torch.float32 and grid.shape == (bins, 11, 17)
    np.testing.assert_allclose(grid.numpy(), reference_grid(events, bins, 11, 17), **TOLERANCE)


def test_many_events_of_one_pixel_cancel_exactly():
    """A thousand events at t_start add nothing to the last bin, however large their parts are."""
    x, p, t = np.zeros(1000, np.uint16), np.zeros(1000, np.uint8), np.zeros(1000, np.int64)
    t[-1] = 41
    assert voxel_grid(x, x, t, p, bins=2, height=1, width=1).flatten().tolist() == [-999, -1]


@settings(max_examples=80, deadline=None)
@given(events=event_arrays(in_order=False), bins=st.integers(1, 9), data=st.data())
def test_any_order_and_any_bounds(reference_grid, events, bins, data):
    low, high = int(events["t"].min()), int(events["t"].max())
    start = data.draw(st.integers(low - 10, high))
    end = data.draw(st.integers(start + 1, high + 100))
    grid = voxel_grid(*columns(events), bins=bins, height=11, width=17, t_start=start, t_end=end)
    expected = reference_grid(events, bins, 11, 17, start, end)
    np.testing.assert_allclose(grid.numpy(), expected, **TOLERANCE)


@pytest.mark.parametrize("where", range(4))
def test_one_column_on_an_accelerator_takes_all_there(monkeypatch, where):
    """The device "meta" stands for one: it is none of the CPU's, and can be had everywhere."""
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(voxel_grid_module, "scatter_voxel_grid", lambda **given: asked.append(given) or "its grid")
    given: list[object] = [np.array([1, 2]), torch.tensor([3, 4]), [5, 6], np.array([0, 1], np.uint8)]
    given[where] = torch.as_tensor(given[where], device="meta")
    options = {"bins": 2, "height": 8, "width": 9, "t_start": 4, "t_end": 7.5}
    assert voxel_grid(*given, **options) == "its grid"
    (passed_on,) = asked
    tensors = {name: passed_on.pop(name) for name in ("x", "y", "t", "p")}
    assert passed_on == options
    assert {tensor.device.type for tensor in tensors.values()} == {"meta"}
    assert {tuple(tensor.shape) for tensor in tensors.values()} == {(2,)}
    nothing: list[object] = [np.empty(0, np.int64)] * 4
    nothing[where] = torch.empty(0, dtype=torch.int64, device="meta")
    grid = voxel_grid(*nothing, bins=2, height=8, width=9)
    assert grid.shape == (2, 8, 9) and grid.dtype == torch.float32 and grid.device.type == "meta"


@pytest.mark.parametrize("start", [0.5, -0.5, -1.5, -300.25, 1e6 + 0.125])
@pytest.mark.parametrize("bins", [1, 4])
def test_whole_times_between_fractional_bounds(path, reference_grid, random_events, start, bins):
    events = random_events(300, 11, 17, 1000, t_first=int(start))
    x, y, t, p = columns(events)
    shape, bounds = {"bins": bins, "height": 11, "width": 17}, {"t_start": start, "t_end": start + 900.5}
    grid = voxel_grid(x, y, t, p, **shape, **bounds)
    exact = voxel_grid(x, y, t.astype(np.float64), p, **shape, **bounds)
    np.testing.assert_allclose(grid.numpy(), exact.numpy(), **TOLERANCE)
    if bins > 1:
        inside = reference_grid(events, bins, 11, 17, start, start + 900.5)
        np.testing.assert_allclose(grid.numpy(), inside, **TOLERANCE)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_nanoseconds_since_1970_keep_their_digits_in_a_short_window(path, reference_grid, random_events, dtype):
    """A float of such a time is right to 256 ns."""
    x, y, t, p = columns(random_events(300, 11, 17, 10_000, t_first=1_700_000_000_000_000_000))
    grid = voxel_grid(x, y, t.astype(dtype), p, bins=4, height=11, width=17)
    expected = reference_grid(make_events(x, y, t, p), 4, 11, 17)
    np.testing.assert_allclose(grid.numpy(), expected, **TOLERANCE)


def test_a_start_keeps_its_digits_beside_times_of_single_precision(path):
    """1000.25 is one, 1000.2 is not: the next one is 0.000012 away, an eighth of a thousandth of this window."""
    times = np.array([1000.25], np.float32)
    grid = voxel_grid([0], [0], times, [1], bins=2, height=1, width=1, t_start=1000.2, t_end=1000.3)
    np.testing.assert_allclose(grid.flatten().numpy(), [0.5, 0.5], atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(events=event_arrays(), bins=st.integers(1, 6), scale=st.sampled_from([1e-6, 0.37, 1.0]))
def test_times_in_floating_point(reference_grid, events, bins, scale):
    x, y, t, p = columns(events)
    seconds = (t - t[0]) * scale
    grid = voxel_grid(x, y, seconds, p, bins=bins, height=11, width=17)
    assert grid.dtype == torch.float32
    np.testing.assert_allclose(grid.numpy(), reference_grid(events, bins, 11, 17), **TOLERANCE)


@pytest.mark.parametrize(("start", "end"), [(1428, 5001), (1428, 1429), (0, 700), (9990, 12_000)])
@pytest.mark.parametrize("shuffled", [False, True])
def test_bounds_that_most_events_lie_outside_of(path, reference_grid, random_events, start, end, shuffled):
    events = random_events(20_000, 11, 17, 10_000)
    if shuffled:
        events = events[np.random.default_rng(0).permutation(len(events))]
    grid = voxel_grid(*columns(events), bins=5, height=11, width=17, t_start=start, t_end=end)
    np.testing.assert_allclose(grid.numpy(), reference_grid(events, 5, 11, 17, start, end), **TOLERANCE)


def test_many_events_fold_before_a_pixel_overflows(reference_grid, random_events):
    events = random_events(600_000, 2, 2, 20_000_000, t_first=10**15)
    grid = voxel_grid(*columns(events), bins=2, height=2, width=2).numpy()
    np.testing.assert_allclose(grid, reference_grid(events, 2, 2, 2), **TOLERANCE)


@pytest.mark.parametrize("duration", [10**9, 10**13], ids=["a second of nanoseconds", "hours of nanoseconds"])
def test_windows_too_long_for_integer_sums(path, reference_grid, random_events, duration):
    events = random_events(5000, 8, 8, duration, t_first=1_700_000_000_000_000_000)
    grid = voxel_grid(*columns(events), bins=5, height=8, width=8).numpy()
    np.testing.assert_allclose(grid, reference_grid(events, 5, 8, 8), **TOLERANCE)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x, y, t, p: (x.astype(np.int32), y.astype(np.int64), t.astype(np.uint32), p.astype(bool)),
        lambda x, y, t, p: (x.astype(np.float32), y.astype(np.float64), t, p.astype(np.int8) * 2 - 1),
        lambda x, y, t, p: tuple(torch.from_numpy(a.astype(np.int64)) for a in (x, y, t, p)),
        lambda x, y, t, p: (x[::-1][::-1], y, t.astype(">i8"), p.astype(np.float32)),
        lambda x, y, t, p: tuple(a.tolist() for a in (x, y, t, p)),
    ],
    ids=["integers", "signs", "tensors", "strides and byte order", "lists"],
)
def test_types_of_arrays(path, reference_grid, random_events, convert):
    events = random_events(500, 10, 12, 9000)
    grid = voxel_grid(*convert(*columns(events)), bins=4, height=10, width=12)
    np.testing.assert_allclose(grid.numpy(), reference_grid(events, 4, 10, 12), **TOLERANCE)


def test_fields_of_an_event_array_need_no_copy(path, reference_grid, random_events):
    events = random_events(500, 10, 12, 9000)
    grid = voxel_grid(events["x"], events["y"], events["t"], events["p"], bins=4, height=10, width=12)
    np.testing.assert_allclose(grid.numpy(), reference_grid(events, 4, 10, 12), **TOLERANCE)


def test_same_bits_every_time_and_in_any_order_within_a_segment(random_events):
    events = random_events(20_000, 20, 30, 1000)
    first = voxel_grid(*columns(events), bins=2, height=20, width=30, t_start=0, t_end=1000)
    shuffled = events[np.random.default_rng(1).permutation(len(events))]
    for again in (events, shuffled):
        assert torch.equal(first, voxel_grid(*columns(again), bins=2, height=20, width=30, t_start=0, t_end=1000))


def test_no_events_and_one_instant(path):
    empty = np.empty(0, np.int64)
    nothing = voxel_grid(empty, empty, empty, empty, bins=3, height=4, width=5)
    assert nothing.shape == (3, 4, 5) and nothing.dtype == torch.float32 and not nothing.any()
    grid = voxel_grid([1, 1], [2, 2], [7, 7], [1, 1], bins=3, height=4, width=5)
    assert grid[0, 2, 1] == 2 and grid.sum() == 2


@pytest.mark.parametrize("times", [[7, 8, 8, 8], [7.0, 8.0, 8.0, 8.0]])
@pytest.mark.parametrize(("bins", "taken"), [(1, 4), (3, 3)])
def test_a_window_without_length(path, times, bins, taken):
    """Bin 0 takes the events of its instant; a single bin has no time and takes all."""
    grid = voxel_grid([1] * 4, [2] * 4, times, [1] * 4, bins=bins, height=4, width=5, t_start=8, t_end=8)
    assert grid[0, 2, 1] == taken and grid.sum() == taken


def test_events_outside_the_frame_are_dropped(path):
    grid = voxel_grid([5, 0, 65535, -1], [0, 4, 0, 0], [0, 1, 2, 3], [1, 1, 1, 1], bins=2, height=4, width=5)
    assert not grid.any()
    grid = voxel_grid([4, 4], [3, 3], [0.0, 1.0], [1, 0], bins=2, height=4, width=5)  # the last pixel is inside
    assert grid[:, 3, 4].tolist() == [1, -1] and grid.abs().sum() == 2
    for x, y in ((5, 0), (0, 4), (-1, 0), (0, -1)):
        assert not voxel_grid([x, x], [y, y], [0.0, 1.0], [1, 1], bins=2, height=4, width=5).any()


def test_memory_of_a_living_grid_is_never_reused(random_events):
    events = columns(random_events(1000, 20, 30, 1000))
    kept = [voxel_grid(*events, bins=3, height=20, width=30) for _ in range(4)]
    view = voxel_grid(*events, bins=3, height=20, width=30)[1].numpy()
    expected = kept[0].clone()
    for _ in range(6):
        voxel_grid(*events, bins=3, height=20, width=30).fill_(7.0)
    assert all(torch.equal(grid, expected) for grid in kept)
    assert np.array_equal(view, expected[1].numpy())


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (([1], [1, 2], [1], [1]), {}, "size"),
        (([1.5], [1], [1], [1]), {}, "coordinates"),
        (([1], [1.5], [1], [1]), {}, "coordinates"),
        (([np.inf], [1.0], [1], [1]), {}, "coordinates"),
        (([np.nan], [1.0], [1], [1]), {}, "coordinates"),
        (([1, 2], [1, 2], [1, 2], [1]), {}, "size"),
        (([1], [1], [np.nan], [1]), {}, "time"),
        (([1, 1], [1, 1], [9, 3], [1, 1]), {}, "time"),
        (([1], [1], [1], [1]), {"t_start": 5, "t_end": 4}, "time"),
        (([1], [1], [1], [1]), {"t_start": 0, "t_end": np.inf}, "time"),
        (([1], [1], [1], [1]), {"t_start": -np.inf, "t_end": 4}, "time"),
        (([1], [1], [1], [1]), {"bins": 0}, "size"),
        (([1], [1], [1], [1]), {"height": 0}, "size"),
        (([1], [1], [1], [1]), {"width": 0}, "size"),
        (([[1]], [[1]], [[1]], [[1]]), {}, "size"),
    ],
)
def test_errors_say_what_was_expected(path, arguments, options, reason):
    with pytest.raises(InvalidInputError, match="expected") as caught:
        voxel_grid(*arguments, **{"bins": 3, "height": 4, "width": 4, **options})
    assert caught.value.reason == reason
