"""Compilation: kept, said aloud, and never silently left out."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from madm_core.errors import DeviceError
from madm_core.model.compilation import CompiledNetwork, cache_directory

IMAGES = torch.rand(1, 3, 4, 4)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 2, 1).eval().requires_grad_(False)


def counting_backend(calls: list[int]) -> Callable[..., Any]:
    """A compiler that leaves the graph as it is and counts."""

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        calls.append(len(inputs))
        return graph.forward

    return backend


@pytest.mark.filterwarnings("ignore")
def test_compiles_once_a_size_and_says_so(own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []
    plain = network()
    compiled = CompiledNetwork(plain, "default", backend=counting_backend(calls))
    with caplog.at_level(logging.INFO), torch.inference_mode():
        for images in (IMAGES, IMAGES, torch.rand(1, 3, 8, 4)):
            torch.testing.assert_close(compiled(images), plain(images))
    assert len(calls) == 2
    assert caplog.text.count("compiling for") == caplog.text.count("compiled after") == 2
    assert f"kept in {own_cache}" in caplog.text
    assert own_cache.is_dir()
    assert compiled.problem == ""


def broken_backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    raise OSError("cc1plus: no such file")


@pytest.mark.filterwarnings("ignore")
def test_a_compiler_that_fails_is_an_error_unless_running_without_was_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(DeviceError, match="compile_mode 'max-autotune'.*no such file.*allow_eager_fallback"):
        CompiledNetwork(network(), "max-autotune", backend=broken_backend)(IMAGES)
    lenient = CompiledNetwork(network(), "default", allow_eager_fallback=True, backend=broken_backend)
    torch.testing.assert_close(lenient(IMAGES), network()(IMAGES))
    assert "no such file" in lenient.problem
    assert caplog.text.count("runs uncompiled") == 1
    lenient(IMAGES)
    assert caplog.text.count("runs uncompiled") == 1


def test_running_out_of_memory_is_not_the_compilers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: compiled)
    network_ = CompiledNetwork(network(), "default", allow_eager_fallback=True)
    with pytest.raises(torch.OutOfMemoryError):
        network_(IMAGES)
    assert network_.problem == ""


def test_the_cache_outlives_a_reboot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "madm_ros" / "torch_compile"
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    CompiledNetwork(network(), "default")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(cache_directory())
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
