import json

import pytest

from madm_core.errors import ConfigError
from madm_core.modalities import DepthModality, EventModality, ThermalModality, modality_from_dict, modality_named


@pytest.mark.parametrize(
    "modality",
    [DepthModality(encoding="inverse", depth_scale=0.01), ThermalModality(smoothing=0.5), EventModality(bins=1)],
)
def test_round_trip_through_json(modality):
    assert modality_from_dict(json.loads(json.dumps(modality.to_dict()))) == modality


def test_infrared_is_thermal():
    assert modality_named("infrared") == ThermalModality() and modality_named("infrared").name == "thermal"


def test_replace_changes_only_what_was_given():
    assert DepthModality(max_depth_m=50.0).replace({"encoding": "linear"}) == DepthModality("linear", max_depth_m=50.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: modality_named("dept"), "Did you mean 'depth'"),
        (lambda: modality_named("depth", {"max_dept_m": 3.0}), "Did you mean 'max_depth_m'"),
        (lambda: EventModality().replace({"bin": 3}), "Did you mean 'bins'"),
        (lambda: ThermalModality().replace({"_ends": None}), "unknown key"),
        (lambda: modality_from_dict({"bins": 3}), "unknown modality"),
        (lambda: DepthModality().replace({"encoding": "cubic"}), "log . inverse . linear"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
