"""A base is loaded completely or not at all."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from madm_core.errors import BaseModelError
from madm_core.model.stable_diffusion import (
    check_shapes,
    load_base,
    load_component,
    model_from_config,
    noise_schedule,
)


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    """A base that a test may damage."""
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def change_json(file: Path, changes: Mapping[str, Any]) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_says_what_it_loaded_and_how_large_it_is(tiny_base: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        loaded = load_base(tiny_base)
    size = sum(parameter.numel() for parameter in loaded.unet.parameters())
    assert f"loaded the base {tiny_base}: U-Net {size:,}, autoencoder" in caplog.text
    assert loaded.unet.dtype == loaded.vae.dtype == torch.float32
    assert not loaded.unet.training


def test_half_precision_files_are_widened(base: Path) -> None:
    for part in ("unet", "vae"):
        file = base / part / "diffusion_pytorch_model.safetensors"
        save_file({name: tensor.half() for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    loaded = load_base(base)
    assert loaded.unet.dtype == loaded.vae.dtype == torch.float32


def test_pickled_weights_are_read(base: Path, tiny_base: Path) -> None:
    """As in older downloads: ``.bin`` files, which diffusers reads with weights_only."""
    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    torch.testing.assert_close(load_base(base).unet.state_dict(), load_base(tiny_base).unet.state_dict())


def test_the_autoencoders_old_tensor_names_are_understood(base: Path, tiny_base: Path) -> None:
    """Stable Diffusion 1.4 on the hub still names its autoencoder's attention as diffusers did in 2022."""
    file = base / "vae" / "diffusion_pytorch_model.safetensors"
    old_names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    state = {}
    for name, tensor in load_file(file).items():
        for new, old in old_names.items():
            name = name.replace(new, old)
        state[name] = tensor
    assert any(".proj_attn." in name for name in state)
    save_file(state, file, metadata={"format": "pt"})
    expected = load_base(tiny_base).vae.state_dict()
    torch.testing.assert_close(load_base(base).vae.state_dict(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("part", ["unet", "vae"])
class TestDamagedWeights:
    def weights(self, base: Path, part: str) -> Path:
        return base / part / "diffusion_pytorch_model.safetensors"

    def test_a_missing_tensor(self, base: Path, part: str) -> None:
        state = load_file(self.weights(base, part))
        lost = sorted(state)[0]
        del state[lost]
        save_file(state, self.weights(base, part), metadata={"format": "pt"})
        with pytest.raises(BaseModelError, match=f"1 missing keys \\(e.g. {lost}\\)|{lost}"):
            load_base(base)

    def test_an_unexpected_tensor(self, base: Path, part: str) -> None:
        state = {**load_file(self.weights(base, part)), "conv_in.extra": torch.zeros(3)}
        save_file(state, self.weights(base, part), metadata={"format": "pt"})
        with pytest.raises(BaseModelError, match=r"conv_in\.extra"):
            load_base(base)

    def test_truncated(self, base: Path, part: str) -> None:
        content = self.weights(base, part).read_bytes()
        self.weights(base, part).write_bytes(content[: len(content) // 2])
        with pytest.raises(BaseModelError, match="Download it again"):
            load_base(base)

    def test_a_configuration_without_sense(self, base: Path, part: str) -> None:
        change_json(base / part / "config.json", {"norm_num_groups": 0})
        with pytest.raises(BaseModelError, match=part):
            load_base(base)

    @pytest.mark.parametrize("layers", [2**63, 1e9, [2, 2, 2, 10**6]])
    def test_layers_without_end(self, base: Path, part: str, layers: object) -> None:
        change_json(base / part / "config.json", {"layers_per_block": layers})
        with pytest.raises(BaseModelError, match="layers"):
            load_component(UNet2DConditionModel if part == "unet" else AutoencoderKL, base / part)
        with pytest.raises(BaseModelError, match="layers"):
            load_base(base)

    def test_none(self, base: Path, part: str) -> None:
        self.weights(base, part).unlink()
        with pytest.raises(BaseModelError, match=part):
            load_base(base)

    def test_of_another_width(self, base: Path, part: str) -> None:
        config = base / part / "config.json"
        widths = [2 * width for width in json.loads(config.read_text())["block_out_channels"]]
        change_json(config, {"block_out_channels": widths})
        with pytest.raises(BaseModelError, match=part):
            load_base(base)


def test_pickle_with_code_is_not_run(base: Path, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.mkdir, (tmp_path / "trace",)  # type: ignore[return-value]

    file = base / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save({**load_file(file), "payload": Payload()}, file.with_suffix(".bin"))
    file.unlink()
    with pytest.raises(BaseModelError):
        load_base(base)
    assert not (tmp_path / "trace").exists()


class TestShapes:
    UNET: Mapping[str, Any] = {"_class_name": "UNet2DConditionModel", "block_out_channels": [320, 640, 1280, 1280]}
    VAE: Mapping[str, Any] = {"block_out_channels": [128, 256, 512, 512], "latent_channels": 4}

    def test_stable_diffusion_1(self) -> None:
        check_shapes(self.UNET, self.VAE, "sd")

    def test_an_autoencoder_of_three_levels(self) -> None:
        check_shapes(self.UNET, {**self.VAE, "block_out_channels": [128, 256, 512]}, "f4")

    @pytest.mark.parametrize(
        ("unet", "vae", "named"),
        [
            ({"block_out_channels": [320, 640, 1280], "addition_embed_type": "text_time"}, {}, "U-Net levels 3"),
            ({"in_channels": 9}, {}, "input channels 9"),  # the inpainting models
            ({"time_cond_proj_dim": 256}, {}, "guidance embedding 256"),
            ({"_class_name": "SD3Transformer2DModel"}, {}, "SD3Transformer2DModel"),
            ({}, {"latent_channels": 16}, "latent channels 16"),
            ({}, {"block_out_channels": [64, 128]}, "autoencoder levels 2"),
            ({"layers_per_block": 1}, {}, "layers a level 1"),
        ],
    )
    def test_others(self, unet: Mapping[str, Any], vae: Mapping[str, Any], named: str) -> None:
        with pytest.raises(BaseModelError, match=named):
            check_shapes({**self.UNET, **unet}, {**self.VAE, **vae}, "other")


class TestSchedule:
    def test_of_stable_diffusion(self, golden: Path) -> None:
        config = json.loads((golden / "tiny_sd" / "scheduler" / "scheduler_config.json").read_text())
        schedule = noise_schedule(config)
        assert schedule.shape == (1000,)
        assert schedule[0].item() == pytest.approx(1 - 0.00085)

    def test_of_a_saved_scheduler(self, tmp_path: Path) -> None:
        DDPMScheduler(beta_start=0.001, beta_end=0.02, num_train_timesteps=100).save_pretrained(tmp_path)
        assert noise_schedule(json.loads((tmp_path / "scheduler_config.json").read_text())).shape == (100,)

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            ({"shift": 3.0}, "no noise schedule"),  # flow matching
            ({"beta_start": 1e-3, "beta_end": 0.02, "prediction_type": "v_prediction"}, "v_prediction"),
            ({"beta_start": 1e-3, "beta_end": 0.02, "beta_schedule": "own"}, "cannot be used"),
        ],
    )
    def test_refused(self, config: Mapping[str, Any], named: str) -> None:
        with pytest.raises(BaseModelError, match=named):
            noise_schedule(config)


def test_model_from_tensors(tiny_base: Path) -> None:
    config = json.loads((tiny_base / "unet" / "config.json").read_text())
    state = load_file(tiny_base / "unet" / "diffusion_pytorch_model.safetensors")
    model = model_from_config(UNet2DConditionModel, config, state, "the test")
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0, atol=0)
    with pytest.raises(BaseModelError, match="configuration of the test cannot be used"):
        model_from_config(UNet2DConditionModel, {**config, "block_out_channels": "wide"}, state, "the test")
    state["conv_in.bias"] = state["conv_in.bias"][:3]
    with pytest.raises(BaseModelError, match=r"the test.*1 tensors of another shape \(e\.g\. conv_in\.bias \(3,\)"):
        model_from_config(UNet2DConditionModel, config, state, "the test")
