"""TensorRT where it is not: every step that can be taken without a GPU."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from madm_core.errors import DeviceError, MissingDependencyError
from madm_core.export.program import ProgramFacts
from madm_core.export.tensorrt import TensorRTProgram, write_engine

CPU = torch.device("cpu")


def stand_in(folder: Path, lines: str) -> str:
    program = folder / "trtexec"
    program.write_text(f"#!{sys.executable}\nimport sys\n{lines}\n")
    program.chmod(0o755)
    return str(program)


def test_no_trtexec(small_network: Callable[[], nn.Module], tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="needs trtexec.*pip install tensorrt"):
        write_engine(small_network(), (16, 24), CPU, tmp_path / "model.engine", 18, "fp16", str(tmp_path / "trtexec"))


def test_trtexec_gets_the_onnx_file_and_the_precision(small_network: Callable[[], nn.Module], tmp_path: Path) -> None:
    program = stand_in(
        tmp_path,
        "options = dict(a.split('=', 1) if '=' in a else (a, '') for a in sys.argv[1:])\n"
        "assert open(options['--onnx'], 'rb').read(1), 'no model'\n"
        "open(options['--saveEngine'], 'w').write(' '.join(sorted(options)))\n"
        "print('[I] TensorRT version: 10.7.0')",
    )
    engine = tmp_path / "model.engine"
    made_with = write_engine(small_network(), (16, 24), CPU, engine, 18, "fp16", program)
    assert "10.7.0" in made_with
    assert engine.read_text() == "--fp16 --onnx --saveEngine --skipInference"
    assert {file.name for file in tmp_path.iterdir()} == {"trtexec", "model.engine"}


def test_trtexec_fails(small_network: Callable[[], nn.Module], tmp_path: Path) -> None:
    program = stand_in(tmp_path, "print('loading')\nsys.exit('Cuda failure: no CUDA-capable device is detected')")
    with pytest.raises(DeviceError, match="could not build an engine: got Cuda failure: no CUDA-capable.*nvidia-smi"):
        write_engine(small_network(), (16, 24), CPU, tmp_path / "model.engine", 18, "fp32", program)


def test_running_needs_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    facts = ProgramFacts("model.engine", 11, 171, "fp16", "TensorRT 10.7.0", 18)
    with pytest.raises(MissingDependencyError, match="a TensorRT engine needs tensorrt"):
        TensorRTProgram(tmp_path / "model.engine", facts).deploy("cuda", "auto")
