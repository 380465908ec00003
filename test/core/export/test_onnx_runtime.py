"""Providers: the one that was asked for, or an error that names the package."""

import builtins
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

from madm_core.errors import ConfigError, DeviceError, MissingDependencyError, ModelDirectoryError
from madm_core.export.onnx import write_onnx
from madm_core.export.onnx_runtime import OnnxProgram
from madm_core.export.program import ProgramFacts, load_program
from madm_core.model.checksums import directory_checksums

FACTS = ProgramFacts("model.onnx", 11, 171, "fp32", "a test", 18)
IMAGES = torch.rand((1, 3, 16, 24), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def program(small_network: Callable[[], nn.Module], tmp_path: Path) -> OnnxProgram:
    write_onnx(small_network(), (16, 24), torch.device("cpu"), tmp_path / "model.onnx")
    return OnnxProgram(tmp_path / "model.onnx", FACTS, (16, 24))


def test_onnxruntime_on_the_cpu(program: OnnxProgram, small_network: Callable[[], nn.Module]) -> None:
    deployment = program.deploy("cpu", "auto")
    assert deployment.device.type == "cpu" and deployment.precision == "fp32"
    expected = small_network()(IMAGES)
    torch.testing.assert_close(deployment.run(IMAGES), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        deployment.run(IMAGES.contiguous(memory_format=torch.channels_last)), expected, atol=1e-5, rtol=1e-5
    )


def test_openvino(program: OnnxProgram, small_network: Callable[[], nn.Module]) -> None:
    pytest.importorskip("openvino")
    deployment = program.deploy("openvino:CPU", "auto")
    first, second = deployment.run(IMAGES), deployment.run(1 - IMAGES)
    torch.testing.assert_close(first, small_network()(IMAGES), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second, small_network()(1 - IMAGES), atol=1e-4, rtol=1e-4)
    with pytest.raises(DeviceError, match="no device NPU7; expected|no device NPU7: expected openvino:CPU"):
        program.deploy("openvino:NPU7", "auto")


@pytest.mark.parametrize(
    ("device", "provider", "package"),
    [("cuda", "CUDAExecutionProvider", "onnxruntime-gpu"), ("tensorrt:1", "TensorrtExecutionProvider", "tensorrt")],
)
def test_a_provider_that_is_not_there(
    program: OnnxProgram, monkeypatch: pytest.MonkeyPatch, device: str, provider: str, package: str
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MissingDependencyError, match=f"{provider}: got onnxruntime .* with CPUExec.*{package}"):
        program.deploy(device, "auto")


def test_onnxruntimes_silent_fallback_is_an_error(program: OnnxProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Session:
        def __init__(self, file: str, options: Any, providers: list[Any]) -> None:
            asked.extend(providers)

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setenv("XDG_CACHE_HOME", str(program._file.parent))
    with pytest.raises(DeviceError, match="could not use its TensorrtExecutionProvider: got it fell back to CPU"):
        program.deploy("tensorrt:1", "auto")
    (name, settings), (second, _) = asked
    assert (name, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert settings["device_id"] == "1" and settings["trt_fp16_enable"] == "1"
    assert Path(settings["trt_engine_cache_path"]).is_dir()


class TestTensorrtEngineFolder:
    """onnxruntime names an engine by the file and its tensors: a model with other weights would get the old engine."""

    @pytest.fixture
    def model(self, program: OnnxProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        (tmp_path / "model").mkdir()
        return program._file.rename(tmp_path / "model" / "model.onnx").parent

    def folder(self, model: Path, description: dict[str, Any] | None = None) -> Path:
        program = load_program(model, "onnx", (16, 24), {"program": FACTS.to_dict(), **(description or {})})
        assert isinstance(program, OnnxProgram)
        return Path(program._settings("tensorrt", 0, "fp16")["trt_engine_cache_path"])

    def test_a_copy_shares_it(self, model: Path, tmp_path: Path) -> None:
        found = self.folder(model)
        assert found.is_dir() and found.parent == tmp_path / "cache" / "madm_ros" / "tensorrt"
        assert found == self.folder(Path(shutil.copytree(model, tmp_path / "copy")))

    def test_other_weights_have_another(self, model: Path, small_network: Callable[[], nn.Module]) -> None:
        before = self.folder(model)
        network = small_network()
        next(network.parameters()).mul_(2)
        write_onnx(network, (16, 24), torch.device("cpu"), model / "model.onnx")
        assert self.folder(model) != before

    def test_other_weights_beside_the_file_have_another(self, model: Path) -> None:
        folders = set()
        for weights in (b"some", b"other"):
            (model / "model.onnx.data").write_bytes(weights)
            folders.add(self.folder(model))
        assert len(folders) == 2

    def test_the_files_are_not_read_again(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before, checksums = self.folder(model), directory_checksums(model)
        monkeypatch.setattr("madm_core.export.onnx_runtime.directory_checksums", lambda _: pytest.fail("read again"))
        assert self.folder(model, {"files": checksums}) == before


@pytest.mark.parametrize("device", ["tpu", "cuda:first", ""])
def test_unknown_devices(program: OnnxProgram, device: str) -> None:
    with pytest.raises(DeviceError, match="unknown device for an ONNX model.*openvino:CPU"):
        program.deploy(device, "auto")


def test_another_precision_than_the_files(program: OnnxProgram) -> None:
    with pytest.raises(ConfigError, match="--precision fp16"):
        program.deploy("cpu", "fp16")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    program = OnnxProgram(tmp_path / "model.onnx", FACTS, (16, 24))
    with pytest.raises(ModelDirectoryError, match=r"cannot load .*model\.onnx.*export the model again|Export"):
        program.deploy("cpu", "auto")


def test_without_onnxruntime(program: OnnxProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name in ("onnxruntime", "openvino"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
        program.deploy("cpu", "auto")
    with pytest.raises(MissingDependencyError, match="pip install openvino"):
        program.deploy("openvino", "auto")
