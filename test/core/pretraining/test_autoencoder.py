import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from madm_core.labels import IGNORE, MADM11
from madm_core.pretraining.autoencoder import (
    AutoencoderTraining,
    class_weights,
    color_error,
    palette_cross_entropy,
    palette_recovery,
    train_autoencoder,
)
from madm_core.pretraining.pictures import Pictures
from madm_core.pretraining.styles import in_style


def small_autoencoder():
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(0, 11, (6, 4, 4)), 16, 1), 16, 2).astype(np.uint8)
    return Pictures(MADM11.colorize(labels.reshape(-1, 64)).reshape(6, 64, 64, 3), labels, ("day",) * 6)


def test_training_lowers_the_losses_and_scales_the_latents(pictures):
    autoencoder, losses = small_autoencoder(), []
    settings = AutoencoderTraining(steps=40, batch_size=4, palettes=2, crop=32, learning_rate=3e-3)
    train_autoencoder(autoencoder, pictures, settings, lambda _, loss: losses.append(loss))
    first, last = (np.mean([loss["palette"] for loss in part]) for part in (losses[:5], losses[-5:]))
    assert last < 0.7 * first
    images = torch.from_numpy(pictures.images).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        latents = autoencoder.encode(images).latent_dist.mean * autoencoder.config.scaling_factor
    assert float(latents.std()) == pytest.approx(1, rel=0.05)


def test_grey_is_no_colour_and_blocks_are_means():
    image = torch.zeros(1, 3, 8, 8)
    assert float(color_error(image + 0.5, image)) == pytest.approx(0, abs=1e-6)
    red = image.clone()
    red[0, 0, :4, :4] = 0.9  # 0.6 above the grey of 0.3 in red, 0.3 below it in green and blue; in one block of four
    assert float(color_error(red, image)) == pytest.approx((0.6 + 0.3 + 0.3) / 3 / 4)


def test_photos_and_the_weight_on_colour_are_used(pictures, monkeypatch):
    styles = []

    def recorded(picture, style, rng):
        styles.append(style)
        return in_style(picture, style, rng)

    monkeypatch.setattr("madm_core.pretraining.autoencoder.in_style", recorded)

    def color_errors(weight):
        losses = []
        settings = AutoencoderTraining(steps=3, batch_size=4, palettes=1, photos=3, crop=32, color_weight=weight)
        train_autoencoder(small_autoencoder(), pictures, settings, lambda _, loss: losses.append(loss["color"]))
        return losses

    plain, weighed = color_errors(0.0), color_errors(4.0)
    assert styles == ["photo"] * 2 * 3 * 3
    assert plain[0] == weighed[0]
    assert plain[2] != weighed[2]


def test_palette_cross_entropy_wants_the_right_colour():
    labels = torch.tensor([[[0, 5, IGNORE]]])
    right = torch.tensor(MADM11.colors, dtype=torch.float32)[[0, 5, 3]].T.reshape(1, 3, 1, 3) / 127.5 - 1
    wrong = right.flip(3)
    assert float(palette_cross_entropy(right, labels)) < 0.05
    assert float(palette_cross_entropy(wrong, labels)) > 1


def test_rare_classes_weigh_more_and_a_pixel_weighs_one_on_average():
    labels = np.array([[[0] * 98 + [4] * 2]], np.uint8)
    assert class_weights(labels, 0.0)[[0, 4]].tolist() == pytest.approx([1, 1])
    weights = class_weights(labels, 0.5)
    assert float(weights[4] / weights[0]) == pytest.approx(7)  # the root of 49 times as many pixels
    assert float(0.98 * weights[0] + 0.02 * weights[4]) == pytest.approx(1)
    assert float(weights[1]) == 0  # a class that never occurs


def test_weights_scale_the_cross_entropy_of_their_class():
    labels = torch.tensor([[[0, 5]]])
    decoded = torch.zeros(1, 3, 1, 2)
    plain = palette_cross_entropy(decoded, labels)
    weights = torch.ones(len(MADM11))
    weights[5] = 0
    only_sky = palette_cross_entropy(decoded[..., :1], labels[..., :1])
    assert float(palette_cross_entropy(decoded, labels, weights)) == pytest.approx(float(only_sky) / 2)
    assert float(palette_cross_entropy(decoded, labels, torch.ones(len(MADM11)))) == pytest.approx(float(plain))


def test_palette_recovery_counts_each_class():
    class Perfect:
        def encode(self, image):
            class Result:
                latent_dist = type("Distribution", (), {"mean": image})

            return Result()

        def decode(self, latents):
            return type("Decoded", (), {"sample": latents})

    labels = np.array([[[0, 1], [1, IGNORE]]], np.uint8)
    share, classes = palette_recovery(Perfect(), labels)
    assert share == 1
    assert classes[:2] == [1, 1]
    assert np.isnan(classes[2])
