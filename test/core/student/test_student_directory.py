"""Students in model directories: round trip, damage, and starting from other weights."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file

from madm_core.errors import BaseModelError, ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import ThermalModality
from madm_core.model.checksums import directory_checksums
from madm_core.model_directory import find_model_directory, load_model_directory
from madm_core.segmenter import Segmenter
from madm_core.student.architecture import StudentArchitecture
from madm_core.student.student_directory import save_student_directory, start_from
from madm_ros.commands.export_model import main as export_model


@pytest.fixture
def directory(small_student, tmp_path):
    return save_student_directory(
        tmp_path / "model",
        small_student,
        modality=ThermalModality(low_percentile=2.0),
        label_set=LabelSet.named("madm11"),
        image_size=(64, 96),
        provenance={"steps": 3},
    )


def rewrite(directory, **changes):
    description = json.loads((directory / "madm.json").read_text())
    (directory / "madm.json").unlink()
    description |= {"files": directory_checksums(directory), **changes}
    (directory / "madm.json").write_text(json.dumps(description))


@torch.no_grad()
def test_round_trip(directory, small_student):
    model = load_model_directory(directory)
    assert (model.kind, model.image_size, model.modality.low_percentile) == ("segformer", (64, 96), 2.0)
    assert model.description["provenance"] == {"steps": 3} and model.description["format_version"] == 2
    images = torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(model.network(images), small_student(images), rtol=0, atol=0)


def test_missing_weights_are_damage_and_never_drawn_at_random(directory):
    state = load_file(directory / "model.safetensors")
    state.pop(next(name for name in state if "classifier" in name))
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelDirectoryError, match="model.safetensors has"):
        load_model_directory(directory)
    rewrite(directory)
    with pytest.raises(ModelDirectoryError, match="lacks or adds 1 tensors"):
        load_model_directory(directory)


def test_descriptions_that_contradict_each_other_are_damage(directory):
    architecture = json.loads((directory / "madm.json").read_text())["architecture"]
    rewrite(directory, architecture={**architecture, "depths": [2, 1, 1, 1]})
    with pytest.raises(ModelDirectoryError, match=r"config\.json describes"):
        load_model_directory(directory)


def test_a_student_starts_from_another_whose_classes_differ(directory, small_student):
    nine = StudentArchitecture(9, (1, 1, 1, 1), (4, 8, 8, 8), (1, 1, 2, 2), 8)
    started = start_from(str(directory), nine)
    assert started.architecture == nine
    encoder = {name: tensor for name, tensor in small_student.state_dict().items() if "segformer" in name}
    for name, tensor in encoder.items():
        torch.testing.assert_close(started.state_dict()[name], tensor)


def test_weights_of_another_size_are_refused(directory, tmp_path):
    with pytest.raises(BaseModelError, match="does not fit"):
        start_from(str(directory), StudentArchitecture.of_size("b0-half", 11))
    with pytest.raises(BaseModelError, match="cannot start from"):
        start_from(str(tmp_path / "nothing"), StudentArchitecture.of_size("b0", 11))


def test_an_exported_student_says_the_same(directory, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    assert export_model(["--model", str(directory), "--format", "onnx", "--output", str(tmp_path / "onnx")]) == 0
    image = np.random.default_rng(0).random((40, 60, 3), np.float32)
    student, program = (Segmenter.from_pretrained(path, device="cpu") for path in (directory, tmp_path / "onnx"))
    assert (student.segment(image).labels == program.segment(image).labels).mean() > 0.999


def test_a_student_comes_whole_from_the_hub(directory, tmp_path, monkeypatch):
    def download(_hub_id, *, local_files_only=False, allow_patterns, ignore_patterns):
        if local_files_only:
            raise LocalEntryNotFoundError("not cached")

        def unwanted(_folder, names):
            return set(names) - set(filter_repo_objects(names, allow_patterns=allow_patterns))

        return shutil.copytree(directory, tmp_path / "downloaded", ignore=unwanted)

    monkeypatch.setattr("madm_core.model.hub.snapshot_download", download)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert load_model_directory(find_model_directory("robots/student")).kind == "segformer"


def test_a_student_starts_offline_from_a_cache_of_the_files_that_it_needs(
    hub_cache, directory, small_student, small_architecture
):
    hub_cache("robots/student", directory, ["madm.json"])
    started = start_from("robots/student", small_architecture)
    torch.testing.assert_close(started.state_dict(), small_student.state_dict(), rtol=0, atol=0)
    hub_cache("robots/other", directory, ["model.safetensors"], listed=False)
    with pytest.raises(BaseModelError, match="robots/other is not in the local cache"):
        start_from("robots/other", small_architecture)
