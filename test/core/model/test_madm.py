"""Composition of the network: what is trained, what gradients reach, which sizes work."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from madm_core.errors import ConfigError
from madm_core.labels import MADM11
from madm_core.modalities import modality_named
from madm_core.model.madm import MadmArchitecture, MadmNetwork, run_branch
from madm_core.model.stable_diffusion import load_base
from madm_core.model.tiny_base import write_tiny_base
from madm_core.model_directory import load_model_directory, save_model_directory


@pytest.fixture
def network(tiny_base: Path) -> MadmNetwork:
    torch.manual_seed(0)
    return MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(11), (64, 64))


def image(batch: int = 2, height: int = 64, width: int = 64) -> Tensor:
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 128), (128, 192), (72, 104), (8, 8)])
def test_any_multiple_of_8(network: MadmNetwork, height: int, width: int) -> None:
    with torch.no_grad():
        output = network.eval()(image(2, height, width), torch.tensor([0, 60]))
    assert output.logits.shape == (2, 11, height, width)
    assert output.sample.shape == (2, 4, height // 8, width // 8)
    assert output.decoded.shape == (2, 3, height, width)
    assert [feature.shape[-1] for feature in output.features][:2] == [width, width // 8]


def test_an_autoencoder_of_three_levels_gives_latents_of_a_quarter(tmp_path: Path) -> None:
    base = load_base(write_tiny_base(tmp_path / "base", vae_channels=(8, 8, 16)))
    network = MadmNetwork.from_base(base, MadmArchitecture.tiny(11), (64, 96)).eval()
    pixels = image(1, 64, 96)
    with torch.no_grad():
        output = network(pixels)
    assert network.backbone.stride == 4
    assert output.sample.shape == (1, 4, 16, 24)
    assert output.decoded.shape == (1, 3, 64, 96)

    stored = save_model_directory(
        tmp_path / "model",
        network,
        modality=modality_named("depth"),
        label_set=MADM11,
        image_size=(64, 96),
    )
    loaded = load_model_directory(stored).network
    with torch.no_grad():
        again = loaded(pixels)
    assert torch.equal(again.logits, output.logits)
    deployed = loaded.deploy("cpu", "fp32")
    with torch.inference_mode():
        torch.testing.assert_close(deployed.run(pixels), output.logits, rtol=1e-3, atol=1e-4)
    with pytest.raises(ConfigError, match="multiples of 4"):
        MadmNetwork.from_base(base, MadmArchitecture.tiny(11), (64, 98))


def test_what_is_trained(network: MadmNetwork) -> None:
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    output_layers = {
        f"backbone.unet.{layer}.{kind}" for layer in ("conv_norm_out", "conv_out") for kind in ("weight", "bias")
    }
    vae = {f"backbone.vae.{name}" for name, _ in network.backbone.vae.named_parameters()}
    assert frozen == output_layers | vae


def test_segmentation_reaches_the_unet_but_not_through_the_decoded_image(network: MadmNetwork) -> None:
    output = network(image())
    assert not output.decoded.requires_grad
    output.logits.square().mean().backward()
    without = {name for name, p in network.named_parameters() if p.requires_grad and p.grad is None}
    assert not without  # every trained parameter, the condition's among them
    assert network.backbone.unet.conv_out.weight.grad is None


def test_latent_regression_reaches_the_unet_through_the_frozen_output_layers(network: MadmNetwork) -> None:
    network(image()).sample.abs().mean().backward()
    assert network.backbone.unet.conv_in.weight.grad is not None
    assert network.backbone.unet.conv_in.weight.grad.abs().sum() > 0
    assert network.backbone.unet.conv_out.weight.grad is None
    assert network.condition.prompt.grad is not None
    assert network.projections.scales[1].conv1.weight.grad is None


def test_gradient_checkpointing_gives_the_same_gradients(network: MadmNetwork) -> None:
    network.head.dropout.p = 0.0
    gradients = []
    for checkpointed in (False, True):
        candidate = copy.deepcopy(network)
        if checkpointed:
            candidate.backbone.unet.enable_gradient_checkpointing()
            candidate.head.enable_gradient_checkpointing()
        output = candidate.train()(image())
        (output.logits.square().mean() + output.sample.abs().mean()).backward()
        gradients.append({name: p.grad for name, p in candidate.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


def test_a_teacher_shares_the_backbone(network: MadmNetwork) -> None:
    teacher = copy.deepcopy((network.condition, network.projections, network.head))
    network.eval()
    teacher[2].eval()
    with torch.no_grad():
        same = run_branch(network.backbone, *teacher, image())
        assert torch.equal(same.logits, network(image()).logits)
        network.backbone.unet.conv_in.bias += 0.5
        changed = run_branch(network.backbone, *teacher, image())
        assert not torch.equal(changed.logits, same.logits)
        noisier = run_branch(network.backbone, *teacher, image(), 60)
        assert not torch.equal(noisier.logits, changed.logits)


def test_timesteps_for_each_image(network: MadmNetwork) -> None:
    with torch.no_grad():
        both = network.eval()(image(), torch.tensor([0, 60])).logits
        alone = torch.cat([network(image()[:1], 0).logits, network(image()[1:], 60).logits])
    assert (both - alone).abs().max() <= 1e-4 * alone.abs().max()


def test_initial_condition(network: MadmNetwork) -> None:
    """Training starts at the pretrained U-Net's own time embedding; the gates of the prompt start in [0, 1)."""
    condition = network.condition
    assert (condition().time_residual == 0).all()
    for gate in (condition.prompt_gate, condition.unconditional_gate):
        assert gate.min() >= 0
        assert gate.max() < 1
    assert condition.prompt.std().item() == pytest.approx(0.02, rel=0.1)
    assert condition.time.std().item() == pytest.approx(0.02, rel=0.3)
    network(image()).sample.mean().backward()
    assert (condition.time.grad == 0).all()
    assert condition.time_gate.grad.abs().sum() > 0


def test_cast_spares_noise_and_condition(network: MadmNetwork) -> None:
    network.cast(torch.bfloat16)
    kinds = {name: tensor.dtype for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    for name, kind in kinds.items():
        kept = name.startswith(("condition.", "backbone.shared_noise."))
        assert kind == (torch.float32 if kept else torch.bfloat16), name
    assert network.backbone.shared_noise.alphas_cumprod.dtype == torch.float32
    with torch.no_grad():
        assert network.eval()(image()).logits.dtype == torch.bfloat16


@pytest.mark.parametrize("size", [(60, 64), (0, 64), (64, -8)])
def test_image_sizes_that_do_not_fit(tiny_base: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="multiples of 8"):
        MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(11), size)


def test_projection_widths_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="multiples of 32"):
        MadmArchitecture(11, (128, 512, 500, 512))


def test_published_size() -> None:
    """Parameter counts of the published network (algorithm.md 2.6), on tensors without memory."""
    architecture = MadmArchitecture(11)
    with torch.device("meta"):
        from madm_core.model.head import SegmentationHead
        from madm_core.model.projections import FeatureProjections

        projections = FeatureProjections((3, 320, 640, 1280), architecture.projection_channels)
        head = SegmentationHead(architecture.projection_channels, 256, 256, 11)
    assert sum(p.numel() for p in projections.parameters()) == 2_245_888
    assert sum(p.numel() for p in head.parameters()) == 3_874_059
