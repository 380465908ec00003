"""What devices say when they fail, in words that help."""

import pytest
import torch

from madm_core.errors import DeviceError
from madm_core.model.device_errors import DeviceAdvice

CPU_MEMORY = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to ..."


def fail(error: Exception, precision: str = "fp32") -> None:
    with DeviceAdvice((512, 1024), "cuda:0", precision):
        raise error


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_MEMORY)])
def test_out_of_memory_says_what_to_switch_on(error: Exception) -> None:
    with pytest.raises(DeviceError, match="cuda:0 ran out of memory for 1024x512 pixels in fp32.*bf16 or fp16.*tiny"):
        fail(error)
    with pytest.raises(DeviceError) as caught:
        fail(error, "bf16")
    assert "precision bf16 or fp16" not in str(caught.value)  # it is on already


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ..."),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        torch.AcceleratorError("the device fell off the bus"),
    ],
)
def test_a_lost_device(error: Exception) -> None:
    with pytest.raises(
        DeviceError, match="cuda:0 stopped working: got .*nvidia-smi.*start this program again"
    ) as caught:
        fail(error)
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("CUDA error"), DeviceError("already said")])
def test_everything_else_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        fail(error)
    assert caught.value is error


def test_no_error_no_advice() -> None:
    with DeviceAdvice((8, 8), "cpu", "fp32"):
        pass
