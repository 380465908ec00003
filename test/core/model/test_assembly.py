"""A network's tensors, taken apart and put together."""

from pathlib import Path

import pytest
import torch

from madm_core.errors import CheckpointError
from madm_core.model.assembly import CONDITION, NOISE, assemble_network, stored_state, unet_state
from madm_core.model.lora import LoraSettings
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base

TINY = MadmArchitecture.tiny(5)
LORA = MadmArchitecture(5, (32, 32, 32, 32), 32, 16, 16, lora=LoraSettings(2, 2.0))


@pytest.mark.parametrize("architecture", [TINY, LORA])
def test_put_together_it_is_the_same(tiny_base: Path, architecture: MadmArchitecture) -> None:
    network = MadmNetwork.from_base(load_base(tiny_base), architecture, (64, 128))
    again = assemble_network(load_base(tiny_base), architecture, stored_state(network))
    torch.testing.assert_close(again.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert again.backbone.shared_noise.noise.shape == (1, 4, 8, 16)


def test_the_autoencoder_is_left_out(tiny_base: Path) -> None:
    network = MadmNetwork.from_base(load_base(tiny_base), TINY, (64, 64))
    names = set(stored_state(network))
    everything = set(network.state_dict())
    assert everything - names == {name for name in everything if name.startswith("backbone.vae.")}


def test_unet_under_its_own_names(tiny_base: Path) -> None:
    adapted = MadmNetwork.from_base(load_base(tiny_base), LORA, (64, 64))
    torch.testing.assert_close(unet_state(adapted), dict(load_base(tiny_base).unet.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("architecture", [TINY, LORA])
@pytest.mark.parametrize("lost", [CONDITION, NOISE, "head.classifier.bias"])
def test_a_lost_tensor(tiny_base: Path, architecture: MadmArchitecture, lost: str) -> None:
    state = stored_state(MadmNetwork.from_base(load_base(tiny_base), architecture, (64, 64)))
    del state[lost]
    with pytest.raises(CheckpointError):
        assemble_network(load_base(tiny_base), architecture, state)


def test_a_lost_adapter_tensor(tiny_base: Path) -> None:
    state = stored_state(MadmNetwork.from_base(load_base(tiny_base), LORA, (64, 64)))
    lost = next(name for name in state if "lora_A" in name)
    del state[lost]
    with pytest.raises(CheckpointError, match=lost):
        assemble_network(load_base(tiny_base), LORA, state)
