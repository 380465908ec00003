"""What a device says when it fails, as errors that tell the user what to do."""

from __future__ import annotations

import torch

from madm_core.errors import DeviceError

_LOST = ("CUDA error", "CUDNN_STATUS", "cuDNN error", "CUBLAS_STATUS", "CUDA driver", "NVML")


class DeviceAdvice:
    """A context that turns a device's failures into :class:`DeviceError`: out of memory, or gone.

    After running out of memory the device works on: its cached memory is given back, so that the next image has the
    best chance. After any other CUDA error the process cannot use the device again.

    Args:
        image_size: (height, width) of the network's images, for the message.
        device: The device as the user names it: ``cuda:1``, ``tensorrt:1``, ``cpu`` ...
        precision: The number format, for the message.
    """

    def __init__(self, image_size: tuple[int, int], device: str, precision: str) -> None:
        self._image_size = image_size
        self._device = device
        self._precision = precision

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, DeviceError):
            return
        if is_out_of_memory(error):
            raise self._out_of_memory() from error
        if is_lost_device(error):
            raise DeviceError(
                f"{self._device} stopped working",
                got=str(error).strip().partition("\n")[0],
                do="look at nvidia-smi and dmesg; when the GPU is back, start this program again, because a process "
                "cannot use a GPU any more after such an error",
            ) from error

    def _out_of_memory(self) -> DeviceError:
        height, width = self._image_size
        free = None
        runtime, _, number = self._device.partition(":")
        if runtime not in ("cpu", "openvino") and torch.cuda.is_available():
            torch.cuda.empty_cache()
            left, total = torch.cuda.mem_get_info(int(number) if number.isdigit() else None)
            free = f"{left / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        smaller = "precision bf16 or fp16, " if self._precision in ("fp32", "auto", "reference_amp") else ""
        return DeviceError(
            f"{self._device} ran out of memory for {width}x{height} pixels in {self._precision}",
            got=free,
            do=f"end other programs on the device, or use {smaller}a tiny autoencoder, a distilled student, or a model "
            "with smaller images",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's or the machine's memory is full."""
    # On a CPU, PyTorch raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def is_lost_device(error: BaseException) -> bool:
    """Whether an error comes from a CUDA device that failed, or vanished."""
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, getattr(torch, "AcceleratorError", ())) or any(word in str(error) for word in _LOST)
