"""Runs an ONNX file with onnxruntime (CPU, CUDA or TensorRT) or with OpenVINO."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from madm_core.errors import DeviceError, MissingDependencyError, ModelDirectoryError
from madm_core.export.program import INPUT, OUTPUT, ProgramFacts, missing, stored_precision
from madm_core.model.checksums import directory_checksums
from madm_core.model.compilation import user_cache
from madm_core.model.network import Deployment
from madm_core.model.precision import Precision

logger = logging.getLogger(__name__)

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
DEVICES = "auto, cpu, cuda, cuda:N, tensorrt, tensorrt:N, openvino:CPU or openvino:GPU"


class OnnxProgram:
    """An ONNX file.

    Devices: ``cpu``, ``cuda`` and ``tensorrt`` are onnxruntime's providers, ``openvino:CPU`` and the like OpenVINO's
    devices; ``auto`` takes CUDA where onnxruntime has it and else the CPU.

    Args:
        file: The program.
        facts: What its model directory says about it.
        image_size: (height, width) of its images.
        checksums: What its model directory says about its files, see ``directory_checksums``; None while it says
            nothing yet.
    """

    fixed_size = True

    def __init__(
        self,
        file: Path,
        facts: ProgramFacts,
        image_size: tuple[int, int],
        checksums: Mapping[str, Any] | None = None,
    ) -> None:
        self._file = file
        self._facts = facts
        self._shape = (1, facts.classes, *image_size)
        self._checksums = checksums
        self.classes = facts.classes
        self.parameter_count = facts.parameters

    def deploy(self, device: str, precision: str) -> Deployment:
        """See :class:`madm_core.model.network.SegmentationNetwork`."""
        runtime, _, number = device.partition(":")
        if runtime == "openvino":
            return self._deploy_openvino(number or "CPU", precision)
        if runtime not in ("auto", *_PROVIDERS) or (number and not number.isdigit()):
            raise DeviceError("unknown device for an ONNX model", got=repr(device), expected=DEVICES)
        return self._deploy_onnxruntime(runtime, int(number or 0), precision)

    def _deploy_onnxruntime(self, runtime: str, number: int, precision: str) -> Deployment:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing("onnxruntime", "an ONNX model", "pip install onnxruntime (or onnxruntime-gpu)") from error
        available = onnxruntime.get_available_providers()
        if runtime == "auto":
            runtime = "cuda" if _PROVIDERS["cuda"] in available and torch.cuda.is_available() else "cpu"
            logger.info("device auto: running on onnxruntime's %s", _PROVIDERS[runtime])
        provider = _PROVIDERS[runtime]
        if provider not in available:
            raise MissingDependencyError(
                f"device {runtime} needs onnxruntime's {provider}",
                got=f"onnxruntime {onnxruntime.__version__} with {', '.join(available)}",
                do="install it: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
                + (" and the TensorRT libraries (pip install tensorrt)" if runtime == "tensorrt" else ""),
            )
        chosen = (
            self._tensorrt_precision(precision) if runtime == "tensorrt" else stored_precision(self._facts, precision)
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        settings: list[Any] = [provider] if runtime == "cpu" else [(provider, self._settings(runtime, number, chosen))]
        if runtime == "tensorrt":
            settings.append((_PROVIDERS["cuda"], {"device_id": str(number)}))  # for what TensorRT does not know
        try:
            session = onnxruntime.InferenceSession(str(self._file), options, providers=settings)
        except Exception as error:  # onnxruntime's errors have no common class
            raise _cannot_load(self._file, error, f"a model that onnxruntime {onnxruntime.__version__} runs") from error
        if session.get_providers()[0] != provider:  # onnxruntime itself would go on with the CPU
            raise DeviceError(
                f"onnxruntime could not use its {provider}",
                got=f"it fell back to {session.get_providers()[0]}",
                do="check that the versions of CUDA, cuDNN and TensorRT are those that onnxruntime was built for",
            )
        where = torch.device("cpu") if runtime == "cpu" else torch.device("cuda", number)
        run = _on_cpu(session) if runtime == "cpu" else _on_cuda(session, number, self._shape)
        return Deployment(run, where, chosen, f"onnxruntime {onnxruntime.__version__}, {provider}")

    def _tensorrt_precision(self, precision: str) -> Precision:
        """TensorRT chooses its arithmetic when it builds, so a float32 file also runs in half precision."""
        if self._facts.precision == "fp32" and precision in ("auto", "fp16", "bf16"):
            return "bf16" if precision == "bf16" else "fp16"
        return stored_precision(self._facts, precision)

    def _settings(self, runtime: str, number: int, precision: Precision) -> dict[str, str]:
        settings = {"device_id": str(number)}
        if runtime == "tensorrt":
            cache = self._engine_folder()
            cache.mkdir(parents=True, exist_ok=True)
            logger.info("TensorRT builds an engine at the first image: minutes, once; it is kept in %s", cache)
            settings |= {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": str(cache),
                "trt_fp16_enable": str(int(precision == "fp16")),
                "trt_bf16_enable": str(int(precision == "bf16")),
            }
        return settings

    def _engine_folder(self) -> Path:
        """Where this model's engine is kept: the name that onnxruntime gives it says nothing about the weights."""
        files = self._checksums or directory_checksums(self._file.parent)
        sums = "\n".join(f"{name} {files[name]['sha256']}" for name in sorted(files))
        return user_cache("tensorrt") / hashlib.sha256(sums.encode()).hexdigest()

    def _deploy_openvino(self, device: str, precision: str) -> Deployment:
        try:
            import openvino
        except ImportError as error:
            raise missing("openvino", f"device openvino:{device}", "pip install openvino") from error
        core = openvino.Core()
        if device not in core.available_devices:
            raise DeviceError(
                f"OpenVINO has no device {device}",
                expected=", ".join(f"openvino:{name}" for name in core.available_devices),
            )
        # OpenVINO would choose bf16 by itself where the processor has it.
        chosen: Precision = "bf16" if precision == "bf16" else stored_precision(self._facts, precision)
        settings = {
            "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp16": "f16"}.get(chosen, "f32"),
            "PERFORMANCE_HINT": "LATENCY",
        }
        if device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = str(torch.get_num_threads())
        try:
            request = core.compile_model(str(self._file), device, settings).create_infer_request()
        except Exception as error:  # OpenVINO's errors have no common class
            raise _cannot_load(self._file, error, f"a model that OpenVINO {openvino.__version__} runs") from error

        def run(images: Tensor) -> Tensor:
            found = request.infer({INPUT: images.contiguous().numpy()}, share_inputs=True)
            return torch.from_numpy(np.array(found[OUTPUT]))  # a copy: the request keeps its own output

        return Deployment(run, torch.device("cpu"), chosen, f"OpenVINO {openvino.__version__}, {device}")


def _on_cpu(session: Any) -> Callable[[Tensor], Tensor]:
    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.contiguous().numpy()})[0])

    return run


def _on_cuda(session: Any, number: int, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """Runs on tensors that are on the device already and leaves the logits there."""

    def run(images: Tensor) -> Tensor:
        images = images.contiguous()
        logits = torch.empty(shape, dtype=torch.float32, device=images.device)
        binding = session.io_binding()
        binding.bind_input(INPUT, "cuda", number, np.float32, tuple(images.shape), images.data_ptr())
        binding.bind_output(OUTPUT, "cuda", number, np.float32, shape, logits.data_ptr())
        torch.cuda.current_stream(images.device).synchronize()  # onnxruntime works on a stream of its own
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return logits

    return run


def _cannot_load(file: Path, error: Exception, expected: str) -> ModelDirectoryError:
    return ModelDirectoryError(
        f"cannot load {file}",
        got=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
        expected=expected,
        do="export the model again, in another precision or opset if it was made for another runtime",
    )
