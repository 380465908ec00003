"""Adapters: one small file a modality, several on one base."""

from pathlib import Path

import numpy as np
import pytest
import torch

from madm_core.errors import ConfigError, ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import modality_named
from madm_core.model.assembly import stored_state
from madm_core.model.lora import LoraSettings, adapter_state, base_state
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base
from madm_core.model.tiny_base import write_tiny_base
from madm_core.model_directory import load_model_directory, save_model_directory
from madm_core.segmenter import Segmenter

LORA = MadmArchitecture(9, (32, 32, 32, 32), 32, 16, 16, lora=LoraSettings(rank=4, alpha=8.0))
IMAGE = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))


def adapted_network(base: Path, seed: int) -> MadmNetwork:
    """A network whose adapter looks trained: a fresh one has no effect."""
    torch.manual_seed(seed)
    network = MadmNetwork.from_base(load_base(base), LORA, (64, 64)).eval()
    assert network.adapter is not None
    with torch.no_grad():
        for name, tensor in adapter_state(network.backbone.unet, network.adapter).items():
            if "lora_B" in name:
                tensor.normal_(std=0.5)
    return network


def save(path: Path, network: MadmNetwork, base: Path | None) -> Path:
    return save_model_directory(
        path,
        network,
        modality=modality_named("thermal"),
        label_set=LabelSet.named("madm9"),
        image_size=(64, 64),
        base_reference=base,
    )


def test_off_by_default() -> None:
    assert MadmArchitecture(11).lora is None


def test_a_fresh_adapter_changes_nothing(tiny_base: Path) -> None:
    with torch.no_grad():
        torch.manual_seed(1)
        adapted = MadmNetwork.from_base(load_base(tiny_base), LORA, (64, 64)).eval()
        plain = MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(9), (64, 64)).eval()
        assert torch.equal(adapted(IMAGE).sample, plain_sample(plain, adapted))


def plain_sample(plain: MadmNetwork, adapted: MadmNetwork) -> torch.Tensor:
    """The plain network's sample under the adapted one's (random) condition."""
    plain.condition.load_state_dict(adapted.condition.state_dict())
    return plain(IMAGE).sample


def test_only_adapters_and_added_parts_are_trained(tiny_base: Path) -> None:
    network = MadmNetwork.from_base(load_base(tiny_base), LORA, (64, 64))
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    in_unet = [name for name in trained if name.startswith("backbone.")]
    assert in_unet
    assert all(".lora_" in name for name in in_unet)
    network(IMAGE.repeat(2, 1, 1, 1)).logits.square().mean().backward()
    parameters = dict(network.named_parameters())
    assert all(parameters[name].grad is not None for name in trained if "lora_B" in name)


def test_the_file_holds_the_adapter_and_not_the_unet(tiny_base: Path, tmp_path: Path) -> None:
    network = adapted_network(tiny_base, seed=2)
    stored = stored_state(network)
    of_unet = {name for name in stored if name.startswith("backbone.unet.")}
    assert of_unet
    assert all(".lora_" in name for name in of_unet)
    path = save(tmp_path / "model", network, tiny_base)
    whole_unet = sum(4 * tensor.numel() for tensor in base_state(network.backbone.unet).values())
    assert (path / "model.safetensors").stat().st_size < whole_unet / 2


@pytest.mark.parametrize("embedded", [False, True])
def test_comes_back_as_it_was(tiny_base: Path, tmp_path: Path, embedded: bool) -> None:
    network = adapted_network(tiny_base, seed=3)
    path = save(tmp_path / "model", network, None if embedded else tiny_base)
    loaded = load_model_directory(path).network
    with torch.no_grad():
        assert torch.equal(loaded(IMAGE).logits, network(IMAGE).logits)


def test_another_base_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "model", adapted_network(tiny_base, seed=4), tiny_base)
    with pytest.raises(ModelDirectoryError, match="not the one that the model was trained with"):
        load_model_directory(path, base=write_tiny_base(tmp_path / "other", seed=9))


def test_a_base_of_which_only_the_unet_differs_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "model", adapted_network(tiny_base, seed=4), tiny_base)
    base = load_base(tiny_base)
    with torch.no_grad():
        base.unet.conv_in.bias[0] += 1
    with pytest.raises(ModelDirectoryError, match="another U-Net"):
        load_model_directory(path, base=base)


def test_several_models_share_one_base(tiny_base: Path, tmp_path: Path) -> None:
    networks = [adapted_network(tiny_base, seed) for seed in (5, 6)]
    paths = [save(tmp_path / f"model {index}", network, tiny_base) for index, network in enumerate(networks)]
    base = load_base(tiny_base)
    segmenters = [Segmenter.from_pretrained(path, device="cpu", base=base) for path in paths]
    kept = [{tensor.data_ptr(): tensor.numel() for tensor in one._run_network.parameters()} for one in segmenters]
    shared = sum(size for place, size in kept[0].items() if place in kept[1])
    assert shared > 0.8 * sum(kept[0].values())
    image = IMAGE[0].permute(1, 2, 0).numpy()
    for _ in range(2):  # in turns
        for segmenter, network in zip(segmenters, networks, strict=True):
            with torch.no_grad():
                expected = network(IMAGE).logits[0]
            torch.testing.assert_close(segmenter.logits(image), expected, rtol=1e-4, atol=1e-4)


def test_several_models_share_one_base_in_half_precision(tiny_base: Path, tmp_path: Path) -> None:
    """The first rounds the base in place; it is still the base that the second was trained with."""
    networks = [adapted_network(tiny_base, seed) for seed in (5, 6)]
    paths = [save(tmp_path / f"model {index}", network, tiny_base) for index, network in enumerate(networks)]
    base = load_base(tiny_base)
    segmenters = [Segmenter.from_pretrained(path, device="cpu", precision="bf16", base=base) for path in paths]
    assert base.unet.dtype == base.vae.dtype == torch.bfloat16
    image = IMAGE[0].permute(1, 2, 0).numpy()
    for segmenter, network in zip(segmenters, networks, strict=True):
        with torch.no_grad():
            expected = network(IMAGE).logits[0]
        error = (segmenter.logits(image) - expected).abs().mean() / expected.abs().mean()
        assert error < 0.2  # 0.05 to 0.1 in half precision with a base of its own, too; 1.6 with the other's adapter


def test_alone_the_adapter_is_merged(tiny_base: Path, tmp_path: Path) -> None:
    network = adapted_network(tiny_base, seed=7)
    path = save(tmp_path / "model", network, tiny_base)
    segmenter = Segmenter.from_pretrained(path, device="cpu")
    assert not any("lora" in name for name in segmenter._run_network.state_dict())
    with torch.no_grad():
        expected = network(IMAGE).logits[0]
    found = segmenter.logits(IMAGE[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-4 * float(expected.abs().max()))


def test_a_model_with_its_own_unet_cannot_share(tiny_base: Path, tmp_path: Path) -> None:
    plain = MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(9), (64, 64))
    path = save(tmp_path / "model", plain, tiny_base)
    with pytest.raises(ModelDirectoryError, match="cannot share a base"):
        load_model_directory(path, base=load_base(tiny_base))


@pytest.mark.parametrize("settings", [{"rank": 0}, {"alpha": 0.0}, {"alpha": -1.0}])
def test_settings_without_sense(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="positive"):
        LoraSettings(**settings)
