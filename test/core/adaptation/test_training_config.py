from __future__ import annotations

from pathlib import Path

import pytest

from madm_core.adaptation.training_config import TrainingConfig
from madm_core.config import load_config
from madm_core.errors import ConfigError

TRAIN_FILES = sorted((Path(__file__).resolve().parents[3] / "config/train").glob("*.yaml"))
RECIPE_FILES = [path for path in TRAIN_FILES if not path.stem.startswith("distill_")]  # those are of another command


@pytest.mark.parametrize("path", RECIPE_FILES, ids=lambda path: path.stem)
def test_every_shipped_recipe_loads(path):
    config = load_config(TrainingConfig, path)
    assert config.source["kind"]
    assert config.make_modality().name in ("depth", "thermal", "event")


def test_the_published_tasks_have_the_published_numbers():
    by_name = {path.stem: load_config(TrainingConfig, path) for path in RECIPE_FILES}
    numbers = {
        name: (
            len(by_name[name].labels),
            by_name[name].resolved_method.noise_start,
            by_name[name].resolved_method.noise_end(10000),
            by_name[name].resolved_method.source_regression_weight,
            by_name[name].resolved_method.target_regression_weight,
        )
        for name in by_name
        if name.startswith("cityscapes")
    }
    assert numbers == {
        "cityscapes_to_deliver_depth": (11, 60, 5000, 1.0, 1.0),
        "cityscapes_to_fmb_infrared": (9, 50, 8000, 1.0, 1.0),
        "cityscapes_to_dsec_event": (11, 50, 8000, 20.0, 0.0),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("image_size=[500, 512]", "image_size.*multiples of 32"),
        ("batch_size=0", "batch_size cannot be used"),
        ("modality={name: sonar}", "unknown modality.*'sonar'"),
        ("label_set=madm12", "unknown label set"),
        ("method={nois_start: 3}", "unknown key 'nois_start'.*Did you mean 'noise_start'"),
        ("architecture={projection_bottleneck: 33}", "multiples of 32"),
        ("recipe=papers", "expected reference . madm"),
        ("engine.optimizer=adam", "engine.optimizer.*Did you mean 'adamw'"),
        ("max_step=3", "unknown key 'max_step'.*Did you mean 'max_steps'"),
    ],
)
def test_mistakes_are_found_before_anything_is_loaded(change, message):
    with pytest.raises(ConfigError, match=message):
        load_config(TrainingConfig, RECIPE_FILES[-1], [change])
