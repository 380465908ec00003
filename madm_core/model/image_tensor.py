"""Numpy images to tensors on a device, and results back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from madm_core.errors import InvalidInputError


def image_tensor(image: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A numpy image as (1, 3, H, W) float32 in [0, 1] on a device.

    Args:
        image: (H, W, 3) or (H, W), uint8 or float in [0, 1].
        device: Where to put it.

    Raises:
        InvalidInputError: It is empty or of another shape, type or range.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InvalidInputError(
            "image of a wrong shape", reason="shape", got=image.shape, expected="(H, W, 3), (H, W, 1) or (H, W)"
        )
    if 0 in image.shape:
        raise InvalidInputError("empty image", reason="size", got=image.shape, expected="at least one pixel")
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise InvalidInputError(
            "image of a wrong type",
            reason="dtype",
            got=image.dtype,
            expected="uint8 of 0..255 or floating point of 0..1",
            do="turn raw sensor data into an image with segmenter.modality.encode(raw) first",
        )
    if image.dtype == np.uint8:
        pixels = to_device(image, device).float().div_(255)
    else:
        low, high = float(image.min()), float(image.max())  # NaN if there is one
        if not (low >= 0 and high <= 1):
            raise InvalidInputError(
                "image values out of range",
                reason="range",
                got=f"values from {low:g} to {high:g}",
                expected="0 to 1, and no NaN",
                do="turn raw sensor data into an image with segmenter.modality.encode(raw) first",
            )
        pixels = to_device(np.asarray(image, np.float32), device)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    # A view: numpy's order of pixels is the channels-last order that the network reads.
    return pixels.permute(2, 0, 1)[None].expand(1, 3, -1, -1)


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """An array on a device. On CUDA it goes through pinned memory, and the call does not wait for the copy.

    PyTorch keeps freed pinned memory for the next image, and only reuses it when the copy is done.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def to_arrays(*tensors: Tensor) -> tuple[npt.NDArray[Any], ...]:
    """Tensors of one device as arrays, waiting for the device once. On CUDA they arrive in pinned memory."""
    if not tensors[0].is_cuda:
        return tuple(tensor.cpu().numpy() for tensor in tensors)
    arrived = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
    for target, tensor in zip(arrived, tensors, strict=True):
        target.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensors[0].device).synchronize()
    return tuple(target.numpy() for target in arrived)
