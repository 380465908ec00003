"""The shared noise; its numbers are tested in test_golden_parity.py."""

import pytest
import torch

from madm_core.model.noise import SharedNoise

ALPHAS = torch.linspace(0.999, 0.01, 100)


@pytest.fixture
def noise() -> SharedNoise:
    return SharedNoise(ALPHAS, (8, 8))


def test_power_is_kept(noise: SharedNoise) -> None:
    signal, share = noise.coefficients(torch.arange(100))
    torch.testing.assert_close(signal**2 + share**2, torch.ones(100, 1, 1, 1))


def test_every_image_gets_the_same_noise_every_time(noise: SharedNoise) -> None:
    before = torch.get_rng_state()
    noisy = noise(torch.zeros(3, 4, 8, 8), torch.tensor([5, 5, 5]))
    assert torch.equal(noisy[0], noisy[1])
    assert torch.equal(noisy, SharedNoise(ALPHAS, (8, 8))(torch.zeros(3, 4, 8, 8), torch.tensor([5, 5, 5])))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_sum_is_made_in_float32(noise: SharedNoise) -> None:
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0)).bfloat16()
    noisy = noise(latents, torch.tensor([0]))
    assert noisy.dtype == torch.float32
    assert torch.equal(noisy, noise(latents.float(), torch.tensor([0])))


def test_the_noise_is_saved_and_the_schedule_is_not(noise: SharedNoise) -> None:
    assert set(noise.state_dict()) == {"noise"}


def test_a_timestep_beyond_the_schedule(noise: SharedNoise) -> None:
    with pytest.raises(IndexError):
        noise(torch.zeros(1, 4, 8, 8), torch.tensor([100]))
