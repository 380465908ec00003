"""The form that runs computes what the form that is trained computes."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from madm_core.model.deployment import DeployedMadm, PlainForm, deployed_form
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.noise import SharedNoise
from madm_core.model.stable_diffusion import load_base
from madm_core.model_directory import load_model_directory

DEMO_MODEL = Path(__file__).resolve().parents[3] / "demo" / "models" / "street-depth"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(tiny_base: Path) -> MadmNetwork:
    """As after training: nothing is still at its initial zero or one."""
    torch.manual_seed(2)
    network = MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(11), (64, 128)).eval()
    network.condition.time_gate.data.normal_()
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.5, 2.0)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def deployed(network: MadmNetwork) -> nn.Module:
    return deployed_form(copy.deepcopy(network), CPU, "fp32")


@pytest.mark.parametrize("size", [(64, 128), (40, 72)])
@torch.inference_mode()
def test_folding_is_exact(network: MadmNetwork, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, where rounding hides no mistake: the same function to nine digits."""

    def in_full_precision(noise: SharedNoise, latents: Tensor, timesteps: Tensor) -> Tensor:
        signal_share, noise_share = (share.double() for share in noise.coefficients(timesteps))
        resized = noise.noise
        if resized.shape[-2:] != latents.shape[-2:]:
            resized = interpolate(resized, size=latents.shape[-2:], mode="bicubic", align_corners=False)
        return signal_share * latents + noise_share * resized

    monkeypatch.setattr(SharedNoise, "forward", in_full_precision)
    plain = copy.deepcopy(network).fold_head().double()
    folded = DeployedMadm(copy.deepcopy(plain)).placed(CPU, torch.float64)
    images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(3))
    expected, found = plain(images).logits, folded(images)
    assert (found - expected).abs().max() <= 1e-9 * expected.abs().max()


@torch.inference_mode()
def test_a_trained_network_keeps_its_labels() -> None:
    """In float32: logits to 1e-5 of the largest, which is how far a change of the weights' order alone moves them."""
    network = load_model_directory(DEMO_MODEL).network
    assert isinstance(network, MadmNetwork)
    row, column = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 192), indexing="ij")
    street = torch.stack([row, (column - 0.5).abs(), (8 * column).sin().abs()])[None]
    expected = network(street).logits
    found = deployed_form(network, CPU, "fp32")(street)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert torch.equal(found.argmax(dim=1), expected.argmax(dim=1))
    assert len(expected.argmax(dim=1).unique()) > 3


@torch.inference_mode()
def test_the_reference_implementations_network(golden_network: Callable[[int], MadmNetwork], golden: Path) -> None:
    """Against the authors' code's own numbers."""
    with np.load(golden / "inference_128.npz") as arrays:
        image, expected = (torch.from_numpy(arrays[name]) for name in ("in_target", "logits"))
    found = deployed_form(golden_network(128), CPU, "fp32")(image[None].float() / 255)[:, :, ::4, ::4]
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_what_is_constant_is_gone(network: MadmNetwork, deployed: nn.Module) -> None:
    names = [name for name, _ in deployed.named_parameters()]
    for part in ("condition", "time_emb", "to_k", "quant_conv", "running_mean", "attn2.to_v"):
        assert not any(part in name for name in names), part
    assert sum(t.numel() for t in deployed.parameters()) < network.parameter_count
    assert deployed.noise.abs().mean() == pytest.approx(0.02916 * 0.8, rel=0.1)  # already scaled


@torch.inference_mode()
def test_it_needs_less_arithmetic(network: MadmNetwork, deployed: nn.Module) -> None:
    image = torch.rand(1, 3, 64, 128)
    flops = []
    for form in (PlainForm(network), deployed):
        with FlopCounterMode(display=False) as counter:
            form(image)
        flops.append(counter.get_total_flops())
    assert flops[1] < 0.97 * flops[0]


def test_weights_lie_as_convolutions_read_them(deployed: nn.Module) -> None:
    convolutions = [module for module in deployed.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) > 50
    assert all(conv.weight.is_contiguous(memory_format=torch.channels_last) for conv in convolutions)
    for name, constant in deployed.named_buffers():
        if "keys" in name or "values" in name:
            assert constant.is_contiguous()


@torch.inference_mode()
def test_bf16_keeps_the_noise_of_timestep_0(network: MadmNetwork) -> None:
    """The schedule's first entry would round to 1 in bf16, and the noise's share to 0."""
    half = DeployedMadm(copy.deepcopy(network)).placed(CPU, torch.bfloat16)
    assert half.noise.dtype == torch.bfloat16
    assert half.noise.float().std().item() == pytest.approx(0.02916, rel=0.1)
    assert half(torch.rand(1, 3, 64, 64)).dtype == torch.bfloat16


def test_a_base_that_cannot_be_folded_runs_as_it_is_and_says_so(
    network: MadmNetwork, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("madm_core.model.deployment.why_not_foldable", lambda unet: "something new")
    form = deployed_form(copy.deepcopy(network), CPU, "fp32")
    assert isinstance(form, PlainForm)
    assert "something new: it runs as it is" in caplog.text
