from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from madm_core.adaptation.method import RECIPES, Method, method_of
from madm_core.errors import ConfigError

DOCS = Path(__file__).resolve().parents[3] / "docs" / "recipe.md"


def test_the_reference_keeps_every_oddity():
    method = method_of("reference", {})
    assert (method.teacher_dropout, method.teacher_batch_statistics, method.ema_batch_norm) == (True, True, False)
    assert (method.mix_classes_from, method.mix_ignored) == ("batch", True)
    assert (method.loss_denominator, method.regression_pixel_weight) == ("all", "share")
    assert (method.color_jitter, method.appearance_probability) == ("kornia060", 0.0)
    assert (method.learning_rate, method.new_layer_learning_rate, method.clip_norm) == (5e-6, 5e-6, 0.01)
    assert method.noise_end(200) == 5000
    assert method.adapts(0, 10000)


def test_ours_ties_its_schedules_to_the_length():
    method = method_of("madm", {})
    assert method.noise_end(10000) == 1500 + 4250
    assert method.noise_end(200) == 30 + 85
    assert not method.adapts(29, 200)
    assert method.adapts(30, 200)
    assert not method_of("madm", {"target_loss_weight": 0.0}).adapts(199, 200)


@pytest.mark.parametrize("end", [{"noise_end_fraction": 0.5}, {"noise_end_step": 20}])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
def test_the_noise_lasts_as_long_however_late_pseudo_labels_begin(share, end):
    method = method_of("madm", {"source_only_fraction": share, **end})
    first = method.first_adapting_step(100)
    assert first == 100 * share
    assert [method.adapts(step, 100) for step in range(100)] == [step >= first for step in range(100)]
    assert method.noise_end(100) - first == end.get("noise_end_step", (100 - first) / 2)


def test_switches_win_over_the_recipe_and_mistakes_are_named():
    assert method_of("reference", {"clip_norm": 1}).clip_norm == 1.0
    with pytest.raises(
        ConfigError, match="unknown key 'mix_ignore' in the section 'method'.*Did you mean 'mix_ignored'"
    ):
        method_of("madm", {"mix_ignore": True})
    with pytest.raises(ConfigError, match=r"method.confidence_threshold.*got 1.5; expected 0..1"):
        method_of("madm", {"confidence_threshold": 1.5})
    with pytest.raises(ConfigError, match=r"method.learning_rate.*above 0"):
        method_of("madm", {"learning_rate": 0})


def test_every_difference_between_the_recipes_is_documented():
    text = DOCS.read_text()
    missing = [name for name in RECIPES["reference"] if f"`{name}`" not in text]
    assert not missing
    assert set(RECIPES["reference"]) <= {field.name for field in dataclasses.fields(Method)}
