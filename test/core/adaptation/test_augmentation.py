from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from madm_core.adaptation.augmentation import (
    JitterFactors,
    StrongAugmentation,
    apply_strong_augmentation,
    blur_kernel_size,
    color_jitter,
    draw_strong_augmentation,
    gaussian_blur,
)

NONE = JitterFactors(1.0, 1.0, 1.0, 0.0)


@pytest.fixture(scope="module")
def numbers(golden):
    return dict(np.load(golden / "strong_aug.npz"))


@pytest.fixture(scope="module")
def image(numbers):
    return torch.from_numpy(numbers["image_u8"]).float() / 255


@pytest.mark.parametrize("draw", [7, 8, 9])
def test_whole_jitter_equals_kornia_0_6_0(numbers, image, draw):
    factors = JitterFactors(
        *(float(numbers[f"jitter{draw}_param__{name}_factor"][0]) for name in ("brightness", "contrast", "saturation")),
        float(numbers[f"jitter{draw}_param__hue_factor"][0]),
        tuple(numbers[f"jitter{draw}_param__order"].tolist()),
    )
    jittered = color_jitter(image, factors, "kornia060")
    expected = torch.from_numpy(numbers[f"jitter{draw}_out_sub2"])[0]
    torch.testing.assert_close(jittered[:, ::2, ::2], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("brightness_factor0.85", JitterFactors(0.85, 1, 1, 0, (0,))),
        ("contrast_factor1.15", JitterFactors(1, 1.15, 1, 0, (1,))),
        ("saturation_factor0.8", JitterFactors(1, 1, 0.8, 0, (2,))),
        ("hue_factor0.1", JitterFactors(1, 1, 1, 0.1, (3,))),
    ],
)
def test_single_operations_equal_kornia_0_6_0(numbers, image, name, factors):
    jittered = color_jitter(image, factors, "kornia060")
    torch.testing.assert_close(jittered[:, ::2, ::2], torch.from_numpy(numbers[name])[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("operation", range(4))
def test_standard_jitter_equals_todays_kornia(image, operation):
    enhance = pytest.importorskip("kornia.enhance")
    factors = JitterFactors(0.83, 1.17, 0.88, -0.13, (operation,))
    peers = (
        lambda x: enhance.adjust_brightness_accumulative(x, factors.brightness),
        lambda x: enhance.adjust_contrast_with_mean_subtraction(x, factors.contrast),
        lambda x: enhance.adjust_saturation_with_gray_subtraction(x, factors.saturation),
        lambda x: enhance.adjust_hue(x, factors.hue * 2 * torch.pi),
    )
    torch.testing.assert_close(
        color_jitter(image, factors, "standard"), peers[operation](image[None])[0], rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("kind", ["kornia060", "standard"])
def test_neutral_factors_change_nothing(image, kind):
    torch.testing.assert_close(color_jitter(image, NONE, kind), image, rtol=0, atol=1e-6)


def test_blur_equals_the_reference(numbers, image):
    blurred = gaussian_blur(image, float(numbers["blur_sigma"]))
    torch.testing.assert_close(blurred, torch.from_numpy(numbers["blur_out"])[0], rtol=0, atol=1e-6)
    for pixels in (64, 128, 512):
        assert blur_kernel_size(pixels) == numbers[f"blur_ksize_{pixels}"]


def test_blur_works_on_oblong_pictures():
    assert gaussian_blur(torch.full((3, 32, 96), 0.5), 1.0).sub(0.5).abs().max() < 1e-6


def test_draw_is_one_decision_a_batch_and_fresh_amounts_a_sample():
    settings = {"jitter_probability": 0.8, "jitter_strength": 0.2, "blur_probability": 0.5}
    draws = [draw_strong_augmentation(random.Random(seed), 2, **settings) for seed in range(400)]
    assert all((a.jitter is None) == (b.jitter is None) for a, b in draws)
    assert all((a.blur_sigma is None) == (b.blur_sigma is None) for a, b in draws)
    jittered = [pair for pair in draws if pair[0].jitter]
    assert 0.75 < len(jittered) / len(draws) < 0.85
    assert 0.44 < sum(a.blur_sigma is not None for a, _ in draws) / len(draws) < 0.56
    assert all(a.jitter != b.jitter for a, b in jittered)
    assert all(0.8 <= a.jitter.contrast <= 1.2 and -0.2 <= a.jitter.hue <= 0.2 for a, _ in jittered)
    assert all(0.15 <= a.blur_sigma <= 1.15 for a, _ in draws if a.blur_sigma is not None)
    assert {a.jitter.order for a, _ in jittered} >= {(0, 1, 2, 3), (3, 2, 1, 0)}


@pytest.mark.parametrize("kind", ["kornia060", "standard"])
def test_result_stays_a_picture(image, kind):
    rng = random.Random(0)
    settings = {"jitter_probability": 1.0, "jitter_strength": 0.5, "blur_probability": 1.0}
    batch = torch.stack((image, 1 - image))
    for _ in range(5):
        augmented = apply_strong_augmentation(batch, draw_strong_augmentation(rng, 2, **settings), kind)
        assert augmented.shape == batch.shape and augmented.min() >= 0 and augmented.max() <= 1 + 1e-6
    assert torch.equal(apply_strong_augmentation(batch, (StrongAugmentation(),) * 2, kind), batch)
