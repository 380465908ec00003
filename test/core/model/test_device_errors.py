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
    ("device", "asked"),
    [("cuda:1", [1]), ("tensorrt:1", [1]), ("cuda", [None]), ("auto", [None]), ("cpu", []), ("openvino:CPU", [])],
)
def test_the_free_memory_is_that_of_the_device(
    monkeypatch: pytest.MonkeyPatch, device: str, asked: list[int | None]
) -> None:
    found = []

    def free_and_total(number: int | None = None) -> tuple[int, int]:
        found.append(number)
        return 2**30, 2**31

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", free_and_total)
    with pytest.raises(DeviceError) as caught, DeviceAdvice((8, 8), device, "bf16"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert found == asked
    assert ("1.0 of 2.0 GiB free" in str(caught.value)) == bool(asked)


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
