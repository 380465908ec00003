"""Compiling a network with ``torch.compile``: kept between starts, said aloud, and never silently left out."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from madm_core.errors import DeviceError
from madm_core.model.device_errors import is_lost_device, is_out_of_memory

logger = logging.getLogger(__name__)

CompileMode = Literal["none", "default", "reduce-overhead", "max-autotune"]


def cache_directory() -> Path:
    """Where compiled code is kept: ``TORCHINDUCTOR_CACHE_DIR``, or a directory of the user's that survives a reboot.

    PyTorch's own choice is in the directory for temporary files.
    """
    chosen = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    return Path(chosen) if chosen else user_cache("torch_compile")


def user_cache(name: str) -> Path:
    """A directory of the user's for what takes long to make and can be made again; it need not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "madm_ros" / name


class CompiledNetwork:
    """A network that is compiled at its first image of each size.

    Args:
        network: The network, ready to run.
        mode: A mode of ``torch.compile``.
        allow_eager_fallback: Run the network as it is when the compiler fails, with a warning, and :attr:`problem` set.
            Without, that is an error.
        backend: The compiler; ``inductor`` is PyTorch's own.
    """

    def __init__(
        self, network: nn.Module, mode: CompileMode, *, allow_eager_fallback: bool = False, backend: Any = "inductor"
    ) -> None:
        self._network = network
        self._mode = mode
        self._allow_eager_fallback = allow_eager_fallback
        self._sizes: set[torch.Size] = set()
        self.problem = ""
        """Why the network runs as it is; empty while compiled code runs."""
        folder = cache_directory()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._compiled = torch.compile(
                network, dynamic=False, backend=backend, mode=mode if backend == "inductor" else None
            )
        except Exception as error:
            self._failed(error)

    def __call__(self, images: Tensor) -> Tensor:
        """See :attr:`madm_core.model.network.Deployment.run`.

        Raises:
            DeviceError: The compiler failed, and running without it was not allowed.
        """
        if self.problem:
            return self._eager(images)
        new = images.shape not in self._sizes
        if new:
            height, width = images.shape[-2:]
            logger.info(
                "compiling for %dx%d pixels (compile_mode %s): minutes the first time; the result is kept in %s",
                width, height, self._mode, cache_directory(),
            )  # fmt: skip
        started = time.monotonic()
        try:
            if images.is_cuda:
                torch.compiler.cudagraph_mark_step_begin()  # the logits of the image before are used up
            logits: Tensor = self._compiled(images)
        except Exception as error:
            if is_out_of_memory(error) or is_lost_device(error):
                raise
            self._failed(error)
            return self._eager(images)
        if new:
            self._sizes.add(images.shape)
            logger.info("compiled after %.1f s", time.monotonic() - started)
        return logits

    def _eager(self, images: Tensor) -> Tensor:
        logits: Tensor = self._network(images)
        return logits

    def _failed(self, error: Exception) -> None:
        """Remember and warn, or raise."""
        said = " ".join(line.strip() for line in str(error).splitlines()[:3] if line.strip())
        reason = f"{type(error).__name__}: {said}"
        if not self._allow_eager_fallback:
            raise DeviceError(
                f"torch.compile failed with compile_mode {self._mode!r}",
                got=reason,
                do="install a C++ compiler (and Triton for CUDA), use compile_mode none, or set allow_eager_fallback",
            ) from error
        self.problem = f"torch.compile failed with compile_mode {self._mode!r}: the network runs uncompiled ({reason})"
        logger.warning("%s", self.problem)
