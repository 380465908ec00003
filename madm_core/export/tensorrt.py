"""TensorRT engines: built by ``trtexec`` from an ONNX file, run by the ``tensorrt`` package.

An engine runs on the kind of GPU and the TensorRT version that it was built with. An ONNX file run with device
``tensorrt`` (onnx_runtime.py) builds its engine by itself where it runs, and is what to hand to others.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from madm_core.errors import DeviceError, ModelDirectoryError
from madm_core.export.onnx import write_onnx
from madm_core.export.program import INPUT, OUTPUT, ProgramFacts, missing, stored_precision
from madm_core.model.network import Deployment
from madm_core.model.precision import Precision, choose_device

_INSTALL = "pip install tensorrt, or TensorRT of JetPack or of NVIDIA's container images"


def write_engine(
    network: nn.Module,
    image_size: tuple[int, int],
    device: torch.device,
    file: Path,
    opset: int,
    precision: Precision,
    trtexec: str = "trtexec",
) -> str:
    """Build an engine for one image size and batch 1, on the GPU that is there; what built it, for people.

    Args:
        network: What ``Deployment.run`` is for a PyTorch network, in float32.
        image_size: (height, width) of its images.
        device: Where the network is; the engine is built on this GPU.
        file: Where the engine goes.
        opset: ONNX operator set on the way.
        precision: What the engine may compute in; TensorRT keeps float32 where it is faster.
        trtexec: Name or path of the program.

    Raises:
        MissingDependencyError: There is no ``trtexec``.
        DeviceError: It could not build the engine.
    """
    program = shutil.which(trtexec)
    if program is None:
        raise missing("trtexec", "--format tensorrt", f"{_INSTALL}; it must be on the PATH")
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        source = Path(folder) / "model.onnx"
        write_onnx(network, image_size, device, source, opset)
        command = [program, f"--onnx={source}", f"--saveEngine={file}", "--skipInference"]
        command += [] if device.index is None else [f"--device={device.index}"]
        command += [f"--{precision}"] if precision in ("fp16", "bf16") else []
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not file.is_file():
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise DeviceError(
                "trtexec could not build an engine",
                got=said[-1] if said else f"exit code {done.returncode}",
                do="check that nvidia-smi sees a GPU, and try --precision fp32",
            )
        return next((line.strip() for line in done.stdout.splitlines() if "TensorRT version" in line), "trtexec")


class TensorRTProgram:
    """A built engine.

    Args:
        file: The engine.
        facts: What its model directory says about it.
    """

    fixed_size = True

    def __init__(self, file: Path, facts: ProgramFacts) -> None:
        self._file = file
        self._facts = facts
        self.classes = facts.classes
        self.parameter_count = facts.parameters

    def deploy(self, device: str, precision: str) -> Deployment:
        """See :class:`madm_core.model.network.SegmentationNetwork`."""
        chosen = stored_precision(self._facts, precision)
        try:
            import tensorrt  # type: ignore[import-not-found]
        except ImportError as error:
            raise missing("tensorrt", "a TensorRT engine", _INSTALL) from error
        place = choose_device(device)
        if place.type != "cuda":
            raise DeviceError("a TensorRT engine needs CUDA", got=f"device {place}", expected="cuda or cuda:N")
        with torch.cuda.device(place):
            runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
            engine = runtime.deserialize_cuda_engine(self._file.read_bytes())
        if engine is None:
            raise ModelDirectoryError(
                f"cannot load {self._file}",
                got=f"TensorRT {tensorrt.__version__} refuses it",
                expected=f"the GPU and version that it was built for ({self._facts.made_with})",
                do="export the model again on this machine",
            )
        return Deployment(_EngineRun(engine, place), place, chosen, f"TensorRT {tensorrt.__version__}")


class _EngineRun:
    """Runs an engine on PyTorch's stream, so that nothing has to wait for it.

    TensorRT works on the current device, whatever device the tensors are on.
    """

    def __init__(self, engine: Any, device: torch.device) -> None:
        self._engine = engine
        self._device = device
        with torch.cuda.device(device):
            self._context = engine.create_execution_context()
        self._shape = tuple(engine.get_tensor_shape(OUTPUT))

    def __call__(self, images: Tensor) -> Tensor:
        images = images.contiguous()
        logits = torch.empty(self._shape, dtype=torch.float32, device=images.device)
        self._context.set_tensor_address(INPUT, images.data_ptr())
        self._context.set_tensor_address(OUTPUT, logits.data_ptr())
        with torch.cuda.device(self._device):
            done = self._context.execute_async_v3(torch.cuda.current_stream(self._device).cuda_stream)
        if not done:
            raise DeviceError("the TensorRT engine failed", do="look at the lines above, and at nvidia-smi")
        return logits
