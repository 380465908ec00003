from __future__ import annotations

import numpy as np
import pytest
import torch

from madm_core.adaptation.losses import latent_regression_loss, segmentation_loss


@pytest.fixture(scope="module")
def numbers(golden):
    return {name: torch.from_numpy(np.asarray(value)) for name, value in np.load(golden / "criterion.npz").items()}


def losses(numbers, norm):
    inputs = {
        name: numbers[name].clone().requires_grad_() for name in ("source_pred", "target_pred", "vs_pred", "vt_pred")
    }
    return inputs, {
        "source_loss": segmentation_loss(inputs["source_pred"], numbers["source_gt"]),
        "target_loss": segmentation_loss(
            inputs["target_pred"], numbers["target_pl"], pixel_weight=numbers["target_pw"]
        ),
        "vae_decoder_source_loss": latent_regression_loss(
            inputs["vs_pred"], numbers["vs_gt"], numbers["vs_mask"], norm=norm
        ),
        "vae_decoder_target_loss": latent_regression_loss(
            inputs["vt_pred"], numbers["vt_gt"], numbers["vt_mask"], norm=norm
        ),
    }


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("weight", [1, 20])
def test_every_term_equals_the_reference(numbers, norm, weight):
    _, terms = losses(numbers, norm)
    for name, value in terms.items():
        factor = weight if name.startswith("vae") else 1
        expected = numbers[f"{norm.upper()}_w{weight}__{name}"]
        torch.testing.assert_close(factor * value, expected, rtol=1e-5, atol=0)


def test_gradients_equal_the_reference(numbers):
    inputs, terms = losses(numbers, "l1")
    torch.stack(list(terms.values())).sum().backward()
    for name, tensor in inputs.items():
        expected = numbers[f"grad_{name}"]
        torch.testing.assert_close(tensor.grad, expected, rtol=1e-4, atol=float(expected.abs().max()) * 1e-5)


def test_valid_denominator_is_the_mean_over_labelled_pixels(numbers):
    value = segmentation_loss(numbers["source_pred"], numbers["source_gt"], denominator="valid")
    torch.testing.assert_close(value, numbers["naive_source_ce_mean_over_valid"], rtol=1e-5, atol=0)


def test_valid_regression_does_not_shrink_with_the_mask():
    sample, target = torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert latent_regression_loss(sample, target, mask).item() == 0.25
    assert latent_regression_loss(sample, target, mask, denominator="valid").item() == 1.0


@pytest.mark.parametrize("denominator", ["all", "valid"])
def test_nothing_labelled_gives_zero(denominator):
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 1, 4, 4), 255), denominator=denominator)
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))
    sample = torch.randn(1, 4, 2, 2)
    assert latent_regression_loss(sample, sample + 1, torch.zeros(1, 1, 4, 4), denominator=denominator).item() == 0


def test_regression_mask_takes_the_top_left_pixel_of_each_cell():
    sample, target = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    mask = torch.ones(1, 1, 16, 16)
    mask[..., 0, 0] = 0
    assert latent_regression_loss(sample, target, mask).item() == 0.75
