"""Another decoder precision, or another autoencoder: only when asked for, and said."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

from madm_core.errors import BaseModelError, ConfigError, DeviceError
from madm_core.model.autoencoder_options import AutoencoderOptions, load_tiny_autoencoder
from madm_core.model.deployment import DeployedMadm, deployed_form
from madm_core.model.folded_backbone import FoldedDecoder, FoldedEncoder
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base

CPU = torch.device("cpu")
SIZES = {
    "encoder_block_out_channels": (8, 8, 8, 8),
    "decoder_block_out_channels": (8, 8, 8, 8),
    "num_encoder_blocks": (1, 1, 1, 1),
    "num_decoder_blocks": (1, 1, 1, 1),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny autoencoder."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("tiny")
    AutoencoderTiny(**SIZES).save_pretrained(path)
    return path


@pytest.fixture
def network(tiny_base: Path) -> MadmNetwork:
    torch.manual_seed(1)
    return MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(11), (64, 64)).eval()


@torch.inference_mode()
@pytest.mark.parametrize("parts", ["both", "encoder", "decoder"])
def test_a_tiny_autoencoder_replaces_what_was_asked_for(network: MadmNetwork, tiny: Path, parts: str) -> None:
    network.autoencoder_options = AutoencoderOptions(tiny=str(tiny), tiny_parts=parts)
    deployment = network.deploy("cpu", "fp32")
    form = deployment.run
    assert isinstance(form, DeployedMadm)
    assert isinstance(form.encoder, FoldedEncoder) == (parts == "decoder")
    assert isinstance(form.decoder, FoldedDecoder) == (parts == "encoder")
    assert str(tiny) in deployment.runtime
    images = torch.rand(1, 3, 64, 128)
    loaded = load_tiny_autoencoder(str(tiny))
    if parts != "decoder":  # the latents are the tiny encoder's own, at the share of the signal at t = 0
        expected = loaded.encode(images * 2 - 1).latents * 0.99957
        torch.testing.assert_close(form.encoder(images * 2 - 1), expected, atol=1e-4, rtol=1e-4)
    if parts != "encoder":
        latents = torch.randn(1, 4, 8, 16)
        torch.testing.assert_close(form.decoder(latents), loaded.decode(latents).sample, atol=1e-5, rtol=1e-5)
    assert form(images).shape == (1, 11, 64, 128)


@torch.inference_mode()
def test_the_decoder_in_half_precision(network: MadmNetwork) -> None:
    network.autoencoder_options = AutoencoderOptions(decoder_precision="bf16")
    form = deployed_form(network, CPU, "fp32")
    assert {tensor.dtype for tensor in form.decoder.parameters()} == {torch.bfloat16}
    assert {tensor.dtype for tensor in form.unet.parameters()} == {torch.float32}
    assert form(torch.rand(1, 3, 64, 64)).dtype == torch.float32


def test_what_cannot_be_changed(network: MadmNetwork, tiny: Path) -> None:
    network.autoencoder_options = AutoencoderOptions(decoder_precision="fp16")
    with pytest.raises(DeviceError, match="fp16 needs CUDA"):
        deployed_form(network, CPU, "fp32")
    network.autoencoder_options = AutoencoderOptions(tiny=str(tiny))
    with pytest.raises(ConfigError, match="cannot be changed: got precision reference_amp"):
        deployed_form(network, CPU, "reference_amp")


def test_options_and_their_description() -> None:
    assert AutoencoderOptions().describe() == ""
    options = AutoencoderOptions("bf16", "madebyollin/taesd", "encoder")
    assert options.describe() == "decoder in bf16, tiny encoder madebyollin/taesd"
    for wrong in ({"decoder_precision": "int8"}, {"tiny_parts": "middle"}):
        with pytest.raises(ConfigError, match="unknown"):
            AutoencoderOptions(**wrong)


def test_tiny_autoencoders_that_cannot_be_used(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(BaseModelError, match="no tiny autoencoder at .*madebyollin/taesd"):
        load_tiny_autoencoder(str(tmp_path / "absent"))
    with pytest.raises(BaseModelError, match="cannot load"):
        load_tiny_autoencoder(str(tmp_path))
    AutoencoderTiny(**SIZES, latent_channels=16).save_pretrained(tmp_path / "sd3")
    with pytest.raises(BaseModelError, match="16 latent channels"):
        load_tiny_autoencoder(str(tmp_path / "sd3"))
    with pytest.raises(BaseModelError, match="expected 4 latent channels and 3 levels"):
        load_tiny_autoencoder(str(tiny), levels=3)
