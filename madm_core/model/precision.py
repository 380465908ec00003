"""Which device a network runs on, and in which number format."""

from __future__ import annotations

import logging
from typing import Literal, cast, get_args

import torch

from madm_core.errors import ConfigError, DeviceError

logger = logging.getLogger(__name__)

Precision = Literal["auto", "fp32", "bf16", "fp16", "reference_amp"]


def choose_device(device: str | torch.device) -> torch.device:
    """The device asked for; ``"auto"`` takes CUDA where there is one and says in the log what it took.

    Raises:
        DeviceError: The device is not there, or PyTorch does not know its name. There is no fallback.
    """
    if str(device) == "auto":
        chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        logger.info("device auto: running on %s", device_name(chosen))
        return chosen
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise DeviceError("unknown device", got=repr(device), expected="auto, cpu, cuda or cuda:N") from error
    if chosen.type not in ("cpu", "cuda"):
        raise DeviceError(
            "device that MADM does not run on", got=repr(str(device)), expected="auto, cpu, cuda or cuda:N"
        )
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= count:
            raise DeviceError(
                f"device {device} is not there",
                got=f"{count} CUDA devices" + ("" if torch.version.cuda else " and a PyTorch built without CUDA"),
                expected=f"a device numbered {chosen.index or 0}",
                do="check nvidia-smi and the PyTorch installation, or ask for device cpu or auto",
            )
    return chosen


def device_name(device: torch.device) -> str:
    """The device in words, e.g. ``cuda:0 (NVIDIA H200)`` or ``cpu (8 threads)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def choose_precision(precision: str, device: torch.device) -> Precision:
    """The number format to run in; ``"auto"`` is fp32 on a CPU and bf16, or fp16 where bf16 is slow, on CUDA.

    Args:
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16``, or ``reference_amp``: mixed precision exactly as the
            reference ran under CUDA, with its rounding of the noise schedule.
        device: Where the network will run.

    Raises:
        ConfigError: There is no such precision.
        DeviceError: The device cannot run it.
    """
    if precision == "auto":
        if device.type == "cpu":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    if precision not in get_args(Precision):
        raise ConfigError("unknown precision", got=repr(precision), expected=", ".join(get_args(Precision)))
    if device.type == "cpu" and precision in ("fp16", "reference_amp"):
        raise DeviceError(f"precision {precision} needs CUDA", got=f"device {device}", expected="fp32 or bf16 on a CPU")
    return cast("Precision", precision)


def weights_dtype(precision: Precision) -> torch.dtype:
    """The number format of the weights; under ``reference_amp`` they stay float32 (autocast converts as it runs)."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
