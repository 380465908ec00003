import numpy as np
import pytest

from madm_core.model.tiny_base import write_tiny_base
from madm_core.pretraining.latent_diffusion import (
    DiffusionTraining,
    TextToImage,
    encode_text,
    generate,
    train_latent_diffusion,
)
from madm_core.pretraining.pictures import Pictures


@pytest.fixture
def model(tmp_path):
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    base = write_tiny_base(tmp_path)
    return TextToImage(
        AutoencoderKL.from_pretrained(base / "vae"),
        UNet2DConditionModel.from_pretrained(base / "unet"),
        CLIPTextModel.from_pretrained(base / "text_encoder"),
        CLIPTokenizer.from_pretrained(base / "tokenizer"),
        DDPMScheduler.from_pretrained(base / "scheduler"),
    )


def test_training_lowers_the_loss_and_draws_pictures(model):
    rng = np.random.default_rng(0)
    pictures = Pictures(
        rng.integers(0, 256, (4, 64, 64, 3)).astype(np.uint8), np.zeros((4, 64, 64), np.uint8), ("day",) * 4
    )
    losses = []
    settings = DiffusionTraining(steps=40, batch_size=4, crop=None, learning_rate=3e-3)
    train_latent_diffusion(model, pictures, settings, lambda _, loss: losses.append(loss["noise_mse"]))
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5])
    drawn = generate(model, ["photo, day street", "negative"], (64, 64), steps=2)
    assert drawn.shape == (2, 64, 64, 3)
    assert np.array_equal(drawn, generate(model, ["photo, day street", "negative"], (64, 64), steps=2))


def test_different_captions_are_different_conditions(model):
    context = encode_text(model, ["photo, night street", "photo, day street"])
    assert context.shape[:2] == (2, 77)
    assert not np.allclose(context[0].detach(), context[1].detach())
