"""Devices and number formats: what was asked for, or an error."""

import logging

import pytest
import torch

from madm_core.errors import ConfigError, DeviceError
from madm_core.model.precision import choose_device, choose_precision, device_name, weights_dtype

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Test GPU")


@pytest.mark.usefixtures("two_gpus")
def test_auto_prefers_cuda_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert choose_device("auto").type == "cuda"
    assert "cuda (Test GPU)" in caplog.text


def test_auto_without_cuda(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.INFO):
        assert choose_device("auto") == CPU
    assert "running on cpu" in caplog.text


@pytest.mark.usefixtures("two_gpus")
def test_the_device_asked_for() -> None:
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device(CPU) == CPU
    with pytest.raises(DeviceError, match="cuda:2 is not there: got 2 CUDA devices"):
        choose_device("cuda:2")


def test_no_silent_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cuda is not there: got 0 CUDA devices"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x", ""])
def test_other_names(name: str) -> None:
    with pytest.raises(DeviceError, match="expected auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16")])
def test_auto_precision(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", GPU) == expected
    assert choose_precision("auto", CPU) == "fp32"


def test_precision_asked_for() -> None:
    for precision in ("fp32", "bf16", "fp16", "reference_amp"):
        assert choose_precision(precision, GPU) == precision
    for precision in ("fp32", "bf16"):
        assert choose_precision(precision, CPU) == precision
    for precision in ("fp16", "reference_amp"):
        with pytest.raises(DeviceError, match="needs CUDA"):
            choose_precision(precision, CPU)
    with pytest.raises(ConfigError, match="unknown precision: got 'int8'"):
        choose_precision("int8", CPU)


def test_weights_dtype() -> None:
    assert weights_dtype("bf16") == torch.bfloat16
    assert weights_dtype("fp16") == torch.float16
    assert weights_dtype("fp32") == weights_dtype("reference_amp") == torch.float32


def test_name_of_the_cpu() -> None:
    assert device_name(CPU) == f"cpu ({torch.get_num_threads()} threads)"
