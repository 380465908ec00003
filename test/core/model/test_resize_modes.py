"""From any size to the network's and back."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from madm_core.model.resize_modes import letterboxed_logits, resize_image, squashed_logits, windowed_logits


class Network:
    """Returns its input as logits, and remembers the sizes it was given."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, image: Tensor) -> Tensor:
        self.sizes.append((image.shape[-2], image.shape[-1]))
        return image.clone()


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def image() -> Tensor:
    return torch.rand((1, 3, 120, 160), generator=torch.Generator().manual_seed(0))


def test_reference_squashes(network: Network, image: Tensor) -> None:
    logits = squashed_logits(image, (128, 128), network)
    assert network.sizes == [(128, 128)]
    assert logits.shape == (1, 3, 128, 128)


def test_keep_aspect_runs_on_a_canvas_no_larger_than_needed(network: Network, image: Tensor) -> None:
    logits = letterboxed_logits(image, (512, 512), network)
    assert network.sizes == [(384, 512)]
    torch.testing.assert_close(logits, resize_image(image, (384, 512)))


def test_keep_aspect_cuts_off_what_it_added(network: Network) -> None:
    image = torch.rand((1, 3, 50, 100), generator=torch.Generator().manual_seed(1))
    logits = letterboxed_logits(image, (128, 192), network)
    assert network.sizes == [(128, 192)]  # 96 rows of image on 128
    assert logits.shape == (1, 3, 96, 192)
    torch.testing.assert_close(logits, resize_image(image, (96, 192)))


def test_keep_aspect_extends_by_edge_pixels(image: Tensor) -> None:
    seen: list[Tensor] = []

    def network(canvas: Tensor) -> Tensor:
        seen.append(canvas)
        return canvas

    letterboxed_logits(image[:, :, :50], (128, 128), network)  # 40 rows on 64
    (canvas,) = seen
    assert torch.equal(canvas[:, :, 0], canvas[:, :, 12])
    assert torch.equal(canvas[:, :, -1], canvas[:, :, -13])


def test_sliding_window_covers_the_image_without_seams(network: Network, image: Tensor) -> None:
    logits = windowed_logits(image, (64, 64), network)
    # 120x160 becomes 64x85: two windows side by side
    assert network.sizes == [(64, 64), (64, 64)]
    assert logits.shape == (1, 3, 64, 85)
    torch.testing.assert_close(logits, resize_image(image, (64, 85)))


def test_sliding_windows_overlap_by_a_quarter(image: Tensor) -> None:
    starts: list[float] = []
    columns = torch.arange(800.0).expand(1, 3, 64, 800) / 800

    def network(window: Tensor) -> Tensor:
        starts.append(round(float(window[0, 0, 0, 0]) * 800))
        return window

    windowed_logits(columns, (64, 64), network)
    assert starts[0] == 0
    assert starts[-1] == 800 - 64
    assert all(later - earlier <= 48 for earlier, later in pairwise(starts))


def test_sliding_window_blends() -> None:
    """Where two windows disagree, the result goes over from one to the other."""
    values = iter((0.0, 1.0))

    def network(window: Tensor) -> Tensor:
        return torch.full_like(window, next(values))

    logits = windowed_logits(torch.zeros(1, 3, 64, 96), (64, 64), network)
    row = logits[0, 0, 32]
    assert (row[:32] == 0).all()
    assert (row[64:] == 1).all()
    assert (row[32:64].diff() > 0).all()
    assert row[32:64].diff().max() < 0.1


def test_shrinking_averages_over_all_pixels() -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    torch.testing.assert_close(
        resize_image(stripes, (64, 16))[..., 2:-2], torch.full((1, 3, 64, 12), 0.5), atol=0.02, rtol=0
    )
