"""Writes a network as an ONNX file."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from madm_core.errors import ConfigError
from madm_core.export.program import INPUT, OUTPUT, ProgramModule, example_images, missing

OPSET = 18
"""Operator set written when none is asked for: onnxruntime since 1.14, OpenVINO since 2023, TensorRT since 8.6."""
OPSETS = range(17, 21)
_LARGEST_FILE = 1_800_000_000
"""Bytes of weights above which they go to a file of their own: protobuf ends at 2 GiB."""


def write_onnx(
    network: nn.Module, image_size: tuple[int, int], device: torch.device, file: Path, opset: int = OPSET
) -> str:
    """Write a network for one image size and batch 1.

    The recording exporter is used: it needs 4 s of CPU time where the one that is built on torch.export needs minutes,
    and onnxruntime and OpenVINO run both files equally fast.

    Args:
        network: What ``Deployment.run`` is for a PyTorch network.
        image_size: (height, width) of its images.
        device: Where the network is.
        file: Where to; weights of large networks go to ``<file>.data`` beside it.
        opset: ONNX operator set, 17 to 20.

    Returns:
        The exporter and its version, for people.

    Raises:
        ConfigError: The operator set is not one of these.
        MissingDependencyError: ``onnx`` is not installed.
    """
    if opset not in OPSETS:
        raise ConfigError("unknown ONNX operator set", got=opset, expected=f"{OPSETS.start} to {OPSETS.stop - 1}")
    if importlib.util.find_spec("onnx") is None:
        raise missing("onnx", "--format onnx", "pip install 'madm_ros[export]'")
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if weights <= _LARGEST_FILE:
        _record(network, image_size, device, file, opset)
    else:
        import onnx

        with tempfile.TemporaryDirectory(dir=file.parent) as scattered:  # a file a tensor
            _record(network, image_size, device, Path(scattered) / "model.onnx", opset)
            onnx.save_model(
                onnx.load(Path(scattered) / "model.onnx"),
                str(file),
                save_as_external_data=True,
                location=f"{file.name}.data",
            )
    return f"torch.onnx of PyTorch {torch.__version__}"


def _record(network: nn.Module, image_size: tuple[int, int], device: torch.device, file: Path, opset: int) -> None:
    with quiet_exporter(), torch.no_grad():
        torch.onnx.export(
            ProgramModule(network),
            (example_images(image_size, device),),
            str(file),  # only for a name that is text are weights above 2 GiB put beside the file
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=opset,
            dynamo=False,
        )


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silences what PyTorch's exporters say about themselves; errors still come through."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
