"""TensorRT where it is not: every step that can be taken without a GPU."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

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


@pytest.mark.parametrize(("device", "option"), [("cuda:1", "--device=1"), ("cuda", ""), ("cpu", "")])
def test_trtexec_builds_on_the_gpu_of_the_network(
    small_network: Callable[[], nn.Module],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    option: str,
) -> None:
    monkeypatch.setattr("madm_core.export.tensorrt.write_onnx", lambda *_: "")  # the GPU is not there
    program = stand_in(
        tmp_path,
        "engine = next(a for a in sys.argv if a.startswith('--saveEngine')).split('=')[1]\n"
        "open(engine, 'w').write(next((a for a in sys.argv if a.startswith('--device')), ''))",
    )
    engine = tmp_path / "model.engine"
    write_engine(small_network(), (16, 24), torch.device(device), engine, 18, "fp32", program)
    assert engine.read_text() == option


def test_trtexec_fails(small_network: Callable[[], nn.Module], tmp_path: Path) -> None:
    program = stand_in(tmp_path, "print('loading')\nsys.exit('Cuda failure: no CUDA-capable device is detected')")
    with pytest.raises(DeviceError, match="could not build an engine: got Cuda failure: no CUDA-capable.*nvidia-smi"):
        write_engine(small_network(), (16, 24), CPU, tmp_path / "model.engine", 18, "fp32", program)


def test_running_needs_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    facts = ProgramFacts("model.engine", 11, 171, "fp16", "TensorRT 10.7.0", 18)
    with pytest.raises(MissingDependencyError, match="a TensorRT engine needs tensorrt"):
        TensorRTProgram(tmp_path / "model.engine", facts).deploy("cuda", "auto")


def test_every_step_is_on_the_gpu_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current, steps = ["cuda:0"], []

    @contextmanager
    def switched(device: torch.device) -> Iterator[None]:
        current.append(str(device))
        yield
        current.pop()

    class Engine:
        def create_execution_context(self) -> "Engine":
            steps.append(("context", current[-1]))
            return self

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (1, 11, 16, 24)

        def set_tensor_address(self, name: str, address: int) -> None:
            pass

        def execute_async_v3(self, stream: int) -> bool:
            steps.append((f"run on stream {stream}", current[-1]))
            return True

    def deserialize(_content: bytes) -> Engine:
        steps.append(("engine", current[-1]))
        return Engine()

    class Logger:
        ERROR = 2

        def __init__(self, level: int) -> None:
            pass

    package = SimpleNamespace(
        __version__="10.7.0", Logger=Logger, Runtime=lambda _: SimpleNamespace(deserialize_cuda_engine=deserialize)
    )
    monkeypatch.setitem(sys.modules, "tensorrt", package)
    monkeypatch.setattr("madm_core.export.tensorrt.choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device", switched)
    streams = {"cuda:1": SimpleNamespace(cuda_stream=7)}
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: streams[str(device)])
    (tmp_path / "model.engine").touch()
    facts = ProgramFacts("model.engine", 11, 171, "fp16", "TensorRT 10.7.0", 18)
    deployment = TensorRTProgram(tmp_path / "model.engine", facts).deploy("cuda:1", "auto")
    assert deployment.run(torch.zeros(1, 3, 16, 24)).shape == (1, 11, 16, 24)
    assert steps == [("engine", "cuda:1"), ("context", "cuda:1"), ("run on stream 7", "cuda:1")]
    assert current == ["cuda:0"]
