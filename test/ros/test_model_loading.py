"""Loading a model: what is asked for is checked, said aloud, and can be interrupted."""

from __future__ import annotations

import time

import numpy as np
import pytest

from madm_core.errors import ConfigError, ModelDirectoryError
from madm_core.modalities import ThermalModality
from madm_ros import model_loading
from madm_ros.model_loading import load_model
from madm_ros.node_parameters import NodeParameters


def test_the_model_comes_with_its_time_and_overridden_modality(stand_in):
    lines: list[str] = []
    network = stand_in(modality=ThermalModality())
    parameters = NodeParameters(model="here", modality="infrared", modality_overrides="range=fixed high=5.5")
    model = load_model(parameters, lines.append, load=lambda values: network)
    assert model.segmenter is network
    assert (model.modality.range, model.modality.high) == ("fixed", 5.5)
    assert network.modality.range == "percentile"
    assert "loading model here" in lines[0] and network.description in lines[1]


def test_no_model_or_the_wrong_one_is_an_error(stand_in):
    with pytest.raises(ConfigError, match="no model to load"):
        load_model(NodeParameters(), print)
    with pytest.raises(ModelDirectoryError, match="got depth; expected event"):
        load_model(NodeParameters(model="m", modality="event"), print, load=lambda values: stand_in())


def test_a_long_load_is_spoken_of(stand_in, monkeypatch):
    monkeypatch.setattr(model_loading, "_SPEAK_EVERY_S", 0.1)
    lines: list[str] = []

    def load(values):
        time.sleep(0.7)
        return stand_in()

    load_model(NodeParameters(model="large"), lines.append, load=load)
    assert any("still loading large" in line for line in lines)


def test_an_exported_model_segments_what_the_sensor_sees(exported_model):
    """Loaded as the node does: modality, labels and sizes are those of the model that was exported."""
    lines: list[str] = []
    model = load_model(NodeParameters(model=str(exported_model), device="cpu"), lines.append)
    depth = np.full((40, 60), 5000, np.uint16)
    depth[:, :6] = 0
    prediction = model.segmenter.segment(model.modality.encode(depth))
    assert prediction.labels.shape == (40, 60)
    assert (prediction.labels[:, :6] == 255).all() and (prediction.labels[:, 6:] < 11).all()
    assert "onnxruntime" in lines[-1]


def test_compiling_and_doing_without_are_spoken_of(stand_in):
    lines: list[str] = []
    network = stand_in(problem="torch.compile failed: the network runs uncompiled")
    load_model(NodeParameters(model="m", compile_mode="default"), lines.append, load=lambda values: network)
    assert "minutes at the first start" in lines[1]
    assert lines[-1] == "but torch.compile failed: the network runs uncompiled"
