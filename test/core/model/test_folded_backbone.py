"""The folded U-Net, encoder and decoder against diffusers' own.

In float64, where folding is exact to rounding on every processor. How far float32 may be off is a question of each
processor's kernels; what reaches a user in float32 is held to the golden numbers and to equal labels elsewhere.
"""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from madm_core.model.condition import Condition
from madm_core.model.diffusion_backbone import DiffusionBackbone
from madm_core.model.folded_backbone import FoldedDecoder, FoldedEncoder, FoldedUNet, why_not_foldable
from madm_core.model.stable_diffusion import StableDiffusionBase, load_base


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> StableDiffusionBase:
    loaded = load_base(tiny_base)
    loaded.unet.double()
    loaded.vae.double()
    return loaded


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape and found.dtype == expected.dtype == torch.float64
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize(("size", "timestep"), [((8, 16), 0), ((9, 5), 0), ((8, 8), 700)])
@torch.inference_mode()
def test_unet(base: StableDiffusionBase, size: tuple[int, int], timestep: int) -> None:
    generator = torch.Generator().manual_seed(1)
    backbone = DiffusionBackbone(base.unet, base.vae, base.scheduler_config, (64, 64))
    width = base.unet.time_embedding.linear_2.out_features
    condition = Condition(
        torch.randn((1, 77, base.unet.config.cross_attention_dim), generator=generator).double(),
        torch.randn((1, 1, width), generator=generator).double(),
    )
    latents = torch.randn((2, 4, *size), generator=generator).double()
    expected, sample = backbone.denoise(latents, torch.full((2,), timestep), condition)
    found, latent = FoldedUNet(base.unet, None, condition, timestep=timestep)(latents)
    for one, other in zip([*found, latent], [*expected, sample], strict=True):
        assert_same(one, other)
    _, ready = FoldedUNet(base.unet, base.vae, condition, timestep=timestep)(latents)
    assert_same(FoldedDecoder(base.vae)(ready), backbone.decode(sample))


@torch.inference_mode()
def test_encoder(base: StableDiffusionBase) -> None:
    backbone = DiffusionBackbone(base.unet, base.vae, base.scheduler_config, (64, 64))
    pixels = torch.rand((2, 3, 40, 64), generator=torch.Generator().manual_seed(2)).double() * 2 - 1
    scale = 0.9 * float(base.vae.config.scaling_factor)
    assert_same(FoldedEncoder(base.vae, scale)(pixels), 0.9 * backbone.encode(pixels))


def test_other_families_are_told_apart(base: StableDiffusionBase) -> None:
    assert why_not_foldable(base.unet) is None
    with torch.device("meta"):
        scaled = UNet2DConditionModel(
            block_out_channels=(8, 8, 8, 8), norm_num_groups=4, attention_head_dim=2, cross_attention_dim=8,
            resnet_time_scale_shift="scale_shift",
        )  # fmt: skip
    assert "scale_shift" in str(why_not_foldable(scaled))
