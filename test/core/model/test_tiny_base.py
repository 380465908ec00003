"""The tiny base is a real base."""

from pathlib import Path

import pytest
import torch

from madm_core.errors import ConfigError
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base
from madm_core.model.tiny_base import write_tiny_base


def test_the_seed_decides(tmp_path: Path) -> None:
    random_state = torch.get_rng_state()
    first, same, other = (
        load_base(write_tiny_base(tmp_path / name, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert torch.equal(torch.get_rng_state(), random_state)
    for part in ("unet", "vae"):
        weights, again, others = (getattr(base, part).state_dict() for base in (first, same, other))
        torch.testing.assert_close(weights, again, rtol=0, atol=0)
        assert not torch.equal(
            weights["conv_out.weight" if part == "unet" else "decoder.conv_out.weight"],
            others["conv_out.weight" if part == "unet" else "decoder.conv_out.weight"],
        )
    assert torch.equal(first.encode_empty_prompt(), same.encode_empty_prompt())


def test_has_stable_diffusions_shape(tiny_base: Path) -> None:
    base = load_base(tiny_base)
    assert base.unet.config.down_block_types[0] == "CrossAttnDownBlock2D"
    assert len(base.unet.up_blocks) == 4
    assert base.vae.config.scaling_factor == 0.18215
    assert base.encode_empty_prompt().shape == (1, 77, base.unet.config.cross_attention_dim)


def test_other_widths(tmp_path: Path) -> None:
    base = load_base(
        write_tiny_base(
            tmp_path,
            unet_channels=(24, 24, 48, 48),
            vae_channels=(6, 6, 12, 12),
            text_width=9,
            attention_heads=3,
            norm_groups=3,
        )
    )
    network = MadmNetwork.from_base(base, MadmArchitecture.tiny(5), (64, 64)).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64)).logits.shape == (1, 5, 64, 64)


@pytest.mark.parametrize(
    "widths", [{"unet_channels": (18, 18, 18, 18)}, {"vae_channels": (6, 8, 8, 8)}, {"text_width": 15}]
)
def test_widths_that_do_not_divide(tmp_path: Path, widths: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected multiples of"):
        write_tiny_base(tmp_path, **widths)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
