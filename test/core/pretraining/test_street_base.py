import json

from safetensors.torch import load_file

from madm_core.model.diffusion_backbone import latent_stride
from madm_core.model.stable_diffusion import load_base
from madm_core.pretraining.autoencoder import AutoencoderTraining
from madm_core.pretraining.latent_diffusion import DiffusionTraining
from madm_core.pretraining.street_base import StreetBaseTraining, train_street_base
from madm_ros.commands.train_street_base import main

SMALL = StreetBaseTraining(
    pictures=42,
    height=64,
    width=64,
    vae_channels=(8, 8, 8),
    unet_channels=(8, 8, 8, 8),
    text_width=8,
    autoencoder=AutoencoderTraining(steps=2, batch_size=2, palettes=1, crop=32),
    refinement=AutoencoderTraining(steps=2, batch_size=2, palettes=1, crop=32, class_balance=0.5),
    diffusion=DiffusionTraining(steps=2, batch_size=2, reduction=1, crop=(64, 64)),
)


def test_a_base_is_made_stage_by_stage(tmp_path):
    measured = train_street_base(tmp_path, SMALL)
    assert json.loads((tmp_path / "training.json").read_text())["settings"]["pictures"] == 42
    assert list(measured["palette_recovery"]) == ["pictures / 1", "pictures / 2"]
    assert all(0 <= found["pixels"] <= 1 for found in measured["palette_recovery"].values())
    base = load_base(tmp_path)
    assert latent_stride(base.vae) == 4
    assert not any(str(tmp_path) in file.read_text() for file in tmp_path.rglob("*.json"))
    weights = {name: value.clone() for name, value in base.unet.state_dict().items()}
    assert base.vae.config.scaling_factor == measured["refinement"]["scaling_factor"]
    stages = [load_file(tmp_path / "work" / f"{name}.safetensors") for name in ("autoencoder", "refinement")]
    assert any((stages[0][name] != stages[1][name]).any() for name in stages[0])

    before = (tmp_path / "work" / "diffusion.safetensors").stat().st_mtime_ns
    train_street_base(tmp_path, SMALL)  # everything is there: nothing is trained again
    assert (tmp_path / "work" / "diffusion.safetensors").stat().st_mtime_ns == before
    again = load_base(tmp_path).unet.state_dict()
    assert all((again[name] == value).all() for name, value in weights.items())


def test_a_misspelt_setting_is_named(tmp_path, capsys):
    assert main(["--output", str(tmp_path), "pictrues=3"]) == 2
    assert "Did you mean 'pictures'" in capsys.readouterr().err
