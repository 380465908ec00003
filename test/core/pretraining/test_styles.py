import numpy as np
import pytest

from madm_core.pretraining.styles import STYLES, in_style


@pytest.fixture
def picture():
    rows, columns = np.mgrid[:40, :60]
    picture = np.stack([rows * 6, columns * 4, 255 - rows * 3], axis=2).astype(np.uint8)
    picture[10:20, 20:40] = (250, 20, 20)
    return picture


@pytest.mark.parametrize("style", STYLES)
def test_a_style_gives_a_picture_of_its_own(picture, style):
    drawn = in_style(picture, style, np.random.default_rng(1))
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert np.array_equal(drawn, in_style(picture, style, np.random.default_rng(1)))
    if style != "photo":
        assert np.abs(drawn - picture / 255).mean() > 0.02


def test_photo_and_negative_are_opposites(picture):
    rng = np.random.default_rng(0)
    assert in_style(picture, "photo", rng) + in_style(picture, "negative", rng) == pytest.approx(1.0)


def test_sketch_is_dark_on_white_and_chalk_white_on_dark(picture):
    rng = np.random.default_rng(0)
    assert in_style(picture, "pencil sketch", rng)[5, 5].mean() > 0.6
    assert in_style(picture, "chalk lines", rng)[5, 5].mean() < 0.4
