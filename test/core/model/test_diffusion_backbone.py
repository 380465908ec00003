"""The backbone walks through the U-Net as diffusers does; its numbers are tested in test_golden_parity.py."""

from pathlib import Path

import pytest
import torch

from madm_core.model.condition import Condition
from madm_core.model.diffusion_backbone import DiffusionBackbone
from madm_core.model.stable_diffusion import load_base


@pytest.fixture(scope="module")
def backbone(tiny_base: Path) -> DiffusionBackbone:
    base = load_base(tiny_base)
    return DiffusionBackbone(base.unet, base.vae, base.scheduler_config, (128, 128)).eval()


def condition(backbone: DiffusionBackbone, share: float = 0.0) -> Condition:
    generator = torch.Generator().manual_seed(0)
    width = backbone.unet.config.cross_attention_dim
    context = torch.randn((1, 77, width), generator=generator)
    return Condition(context, share * torch.ones(1, 1, backbone.unet.time_embedding.linear_2.out_features))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (8, 24), (9, 13), (5, 1)])
def test_sample_is_the_unets_own(backbone: DiffusionBackbone, height: int, width: int) -> None:
    """Without a time residual our walk gives exactly what diffusers' forward gives, at odd sizes too."""
    latents = torch.randn((2, 4, height, width), generator=torch.Generator().manual_seed(1))
    timesteps = torch.tensor([0, 500])
    given = condition(backbone)
    with torch.no_grad():
        expected = backbone.unet(latents, timesteps, given.context.expand(2, -1, -1)).sample
        features, sample = backbone.denoise(latents, timesteps, given)
    assert torch.equal(sample, expected)
    assert features[2].shape[-2:] == (height, width)


def test_time_residual_changes_every_feature(backbone: DiffusionBackbone) -> None:
    latents = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, _ = backbone.denoise(latents, torch.tensor([0]), condition(backbone))
        changed, _ = backbone.denoise(latents, torch.tensor([0]), condition(backbone, 0.5))
    assert all(not torch.equal(one, other) for one, other in zip(plain, changed, strict=True))


def test_latents_are_a_mean_and_not_drawn(backbone: DiffusionBackbone) -> None:
    pixels = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(2)) * 2 - 1
    latents = backbone.encode(pixels)
    assert torch.equal(latents, backbone.encode(pixels))
    expected = backbone.vae.encode(pixels).latent_dist.mean * backbone.vae.config.scaling_factor
    torch.testing.assert_close(latents, expected)


def test_decoding_inverts_the_scale_and_carries_no_gradient(backbone: DiffusionBackbone) -> None:
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3), requires_grad=True)
    decoded = backbone.decode(latents)
    assert not decoded.requires_grad
    expected = backbone.vae.decode(latents / backbone.vae.config.scaling_factor).sample
    torch.testing.assert_close(decoded, expected)


def test_timestep_matters(backbone: DiffusionBackbone) -> None:
    image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        samples = [backbone(image, timestep, condition(backbone)).sample for timestep in (0, 60)]
    assert not torch.equal(*samples)
