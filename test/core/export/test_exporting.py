"""An export is a model directory that gives PyTorch's labels, or it is not there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from madm_core.errors import ConfigError, MissingDependencyError, ModelDirectoryError, WorkError
from madm_core.export import exporting
from madm_core.export.exporting import ExportOptions, export_model, synthetic_images
from madm_core.model.network import Deployment
from madm_core.model_directory import LoadedModel, load_model_directory
from madm_core.segmenter import Segmenter


@pytest.fixture(scope="module")
def exported(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's depth model as ONNX."""
    output = tmp_path_factory.mktemp("exported") / "depth-onnx"
    export_model(load_model_directory(demo_model), output, ExportOptions("onnx"))
    return output


def test_the_trained_network_gives_the_same_labels_in_onnxruntime(exported: Path, demo_model: Path) -> None:
    program, original = (Segmenter.from_pretrained(path, device="cpu") for path in (exported, demo_model))
    assert "onnxruntime" in program.description and "CPUExecutionProvider" in program.description
    assert program.label_set == original.label_set and program.modality == original.modality
    same = []
    for image in synthetic_images((120, 200)):  # another size than the network's
        pixels = image[0].permute(1, 2, 0).numpy()
        found, expected = program.segment(pixels), original.segment(pixels)
        assert found.labels.shape == (120, 200)
        same.append((found.labels == expected.labels).mean())
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-3)
    assert np.mean(same) >= 0.999


def test_a_program_from_the_hub_knows_its_own_devices(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("madm_core.segmenter.find_model_directory", lambda name: exported)
    assert "OpenVINO" in Segmenter.from_pretrained("robots/depth-onnx", device="openvino:CPU").description


def test_windows_of_the_networks_size_but_no_other_canvas(exported: Path) -> None:
    windows = Segmenter.from_pretrained(exported, device="cpu", resize="sliding_window")
    assert windows.segment(np.zeros((96, 250), np.uint8)).labels.shape == (96, 250)
    with pytest.raises(ConfigError, match="one size only"):
        Segmenter.from_pretrained(exported, device="cpu", resize="keep_aspect")


def test_what_the_directory_says(exported: Path) -> None:
    described = json.loads((exported / "madm.json").read_text())
    assert described["network"] == "onnx" and described["format_version"] == 2
    assert described["program"]["opset"] == 18 and described["program"]["precision"] == "fp32"
    assert described["check"]["same_labels"] >= 0.999 and described["check"]["frames"] == 4
    assert described["exported_from"]["network"] == "madm"
    assert "synthetic streets" in described["exported_from"]["provenance"]["summary"]
    assert set(described["files"]) == {"model.onnx"}


def test_a_damaged_program_is_refused(exported: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "madm.json").write_bytes((exported / "madm.json").read_bytes())
    (damaged / "model.onnx").write_bytes((exported / "model.onnx").read_bytes()[:-10])
    with pytest.raises(ModelDirectoryError, match=r"model\.onnx has \d+ of \d+ bytes"):
        Segmenter.from_pretrained(damaged, device="cpu")


@pytest.mark.parametrize("kind", ["onnx", "torchscript", "torch-export"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_every_format_runs(small_model: LoadedModel, tmp_path: Path, kind: Any) -> None:
    frames = [np.random.default_rng(seed).random((32, 30, 3), np.float32) for seed in range(2)]
    result = export_model(small_model, tmp_path / "out", ExportOptions(kind), frames=frames)
    assert result["check"] == {"same_labels": 1.0, "frames": 2, "given": True}
    segmenter = Segmenter.from_pretrained(tmp_path / "out", device="cpu")
    expected = small_model.network.deploy("cpu", "fp32").run(exporting._network_image(frames[0], (16, 24)))[0]
    torch.testing.assert_close(segmenter.logits(frames[0]), expected, atol=1e-5, rtol=1e-5)
    assert segmenter.input_statistics == small_model.input_statistics is not None
    with pytest.raises(ConfigError, match="exported again"):
        export_model(load_model_directory(tmp_path / "out"), tmp_path / "again", ExportOptions(kind))
    with pytest.raises(ConfigError, match="precision bf16; expected auto or fp32"):
        Segmenter.from_pretrained(tmp_path / "out", device="cpu", precision="bf16")


def test_other_labels_are_not_called_done(
    small_model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        def deploy(self, device: str, precision: str) -> Deployment:
            def run(images: Tensor) -> Tensor:
                logits = small_model.network.deploy("cpu", "fp32").run(images)
                logits[:, :, 0, :6] = logits[:, :, 0, :6].flip(1)  # at most 6 of 384 pixels
                return logits

            return Deployment(run, torch.device("cpu"), "fp32")

    monkeypatch.setattr(exporting, "load_program", lambda *_: Wrong())
    with pytest.raises(WorkError, match="other labels than PyTorch: got the same label on 9[89].* 99.9 %"):
        export_model(small_model, tmp_path / "out", ExportOptions("onnx"))
    assert not list(tmp_path.iterdir())


def test_refusals(small_model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="unknown ONNX operator set: got 9; expected 17 to 20"):
        export_model(small_model, tmp_path / "out", ExportOptions("onnx", opset=9))
    with pytest.raises(ConfigError, match="unknown export format"):
        export_model(small_model, tmp_path / "out", ExportOptions("coreml"))  # type: ignore[arg-type]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="needs onnx.*pip install 'madm_ros"):
        export_model(small_model, tmp_path / "out", ExportOptions("onnx"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [{"classes": None}, {"file": "../elsewhere.onnx"}, {"file": "unchecked.onnx"}])
def test_a_program_that_is_not_described_or_not_checked(
    small_model: LoadedModel, tmp_path: Path, changes: dict[str, Any]
) -> None:
    export_model(small_model, tmp_path / "out", ExportOptions("onnx"))
    described = json.loads((tmp_path / "out" / "madm.json").read_text())
    described["program"] |= changes
    (tmp_path / "out" / "madm.json").write_text(json.dumps(described))
    with pytest.raises(ModelDirectoryError, match="damaged.*program"):
        load_model_directory(tmp_path / "out")
