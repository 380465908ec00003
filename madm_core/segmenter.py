"""The one public verb: an image in, a class for every pixel out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.labels import IGNORE, LabelSet
from madm_core.modalities import EncodedImage, Modality
from madm_core.modalities.input_statistics import InputStatistics
from madm_core.model.autoencoder_options import AutoencoderOptions
from madm_core.model.compilation import CompiledNetwork, CompileMode
from madm_core.model.device_errors import DeviceAdvice
from madm_core.model.directory_format import check_classes
from madm_core.model.image_tensor import image_tensor, to_arrays
from madm_core.model.madm import MadmNetwork
from madm_core.model.network import SegmentationNetwork
from madm_core.model.precision import Precision, choose_device, choose_precision, device_name
from madm_core.model.resize_modes import RESIZE_MODES, ResizeMode, resize_image
from madm_core.model.stable_diffusion import StableDiffusionBase
from madm_core.model_directory import (
    change_autoencoder,
    find_model_directory,
    holds_program,
    load_model_directory,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """What the network says about one image of (H, W) pixels.

    Attributes:
        labels: (H, W) uint8 class ids; 255 where there was no valid measurement, or the network's numbers are not
            finite.
        confidence: (H, W) float32 in [0, 1]: the softmax probability of the class; 0 where the label is 255.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32]


class Segmenter:
    """Segments single images with a trained network.

    Example::

        segmenter = Segmenter.from_pretrained("models/depth")
        image = segmenter.modality.encode(raw_depth)
        prediction = segmenter.segment(image)

    Args:
        network: The network, of any kind. The segmenter takes it over: it is moved, converted and folded in place, so
            that it can be neither trained nor saved any more.
        modality: How raw sensor data becomes images.
        label_set: The network's classes.
        image_size: (height, width) that images are resized to.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; for ONNX models also ``tensorrt`` and ``openvino:CPU``.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``reference_amp``.
        compile_mode: ``none``, or a mode of ``torch.compile``; the very first image then takes minutes.
        resize: ``reference`` (squash to ``image_size``, as published), ``keep_aspect`` or ``sliding_window``.
        allow_eager_fallback: Run uncompiled, with a warning, when the compiler fails; else that is an error.
        name: What to call the model in :attr:`description`.
        input_statistics: What the training pictures looked like, for whoever wants to compare; None if unknown.

    Raises:
        DeviceError: The device is not there, cannot run the precision, or has too little memory.
        ConfigError: An option is unknown, or the label set does not fit the network.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        modality: Modality,
        label_set: LabelSet,
        image_size: tuple[int, int],
        *,
        device: str = "auto",
        precision: str = "auto",
        compile_mode: str = "none",
        resize: str = "reference",
        allow_eager_fallback: bool = False,
        name: str = "model",
        input_statistics: InputStatistics | None = None,
    ) -> None:
        check_classes(label_set, network.classes)
        self.modality = modality
        self.label_set = label_set
        self.image_size = image_size
        self.input_statistics = input_statistics
        self.resize: ResizeMode = _one_of(resize, ResizeMode, "resize mode")
        self.compile_mode: CompileMode = _one_of(compile_mode, CompileMode, "compile mode")
        if network.fixed_size and self.resize == "keep_aspect":
            raise ConfigError(
                "an exported network runs images of one size only",
                got="resize mode keep_aspect, whose size depends on the image",
                expected="reference or sliding_window",
            )
        self.name = name
        with DeviceAdvice(image_size, device, precision):
            deployment = network.deploy(device, precision)
        self.device = deployment.device
        self.precision: Precision = deployment.precision
        self._parameters = network.parameter_count
        self._not_finite = 0
        self.runtime = deployment.runtime
        self._run_network: Callable[[Tensor], Tensor] = deployment.run
        if self.compile_mode != "none":
            if not isinstance(deployment.run, nn.Module):
                raise ConfigError(
                    "only PyTorch networks can be compiled",
                    got=f"compile mode {self.compile_mode!r} for a network run by {deployment.runtime}",
                    do="use compile_mode none",
                )
            self._run_network = CompiledNetwork(
                deployment.run, self.compile_mode, allow_eager_fallback=allow_eager_fallback
            )

    @classmethod
    def from_pretrained(
        cls,
        path_or_hub_id: str | Path,
        device: str = "auto",
        precision: str = "auto",
        compile_mode: str = "none",
        resize: str = "reference",
        allow_eager_fallback: bool = False,
        base: str | Path | StableDiffusionBase | None = None,
        autoencoder: AutoencoderOptions | None = None,
    ) -> Segmenter:
        """Load a model directory.

        Args:
            path_or_hub_id: A model directory on disk, or a hub id of one.
            device: See :class:`Segmenter`, also for ``precision``, ``compile_mode`` and ``resize``.
            precision: Number format.
            compile_mode: ``none`` or a mode of ``torch.compile``.
            resize: How images are brought to the network's size.
            allow_eager_fallback: Run uncompiled when the compiler fails.
            base: Where the model's base is, if it is not where the directory says; or a loaded base, which several
                segmenters of LoRA models on the same device and in the same precision can share.
            autoencoder: A decoder in another precision, or a tiny autoencoder; None runs the model's own as it is.

        Raises:
            ModelDirectoryError: The directory is missing, damaged or of a newer format.
            BaseModelError: The base that it refers to cannot be loaded.
            DeviceError: See :class:`Segmenter`.
            ConfigError: See :class:`Segmenter`.
        """
        _one_of(resize, ResizeMode, "resize mode")
        _one_of(compile_mode, CompileMode, "compile mode")
        directory = find_model_directory(path_or_hub_id)
        if not holds_program(directory):  # a wrong option should not cost the time to load the weights
            place = choose_device(device)
            choose_precision(precision, place)
            device = str(place)  # from now on "auto" is decided, and logged
        model = load_model_directory(directory, base=base)
        if autoencoder is not None:
            change_autoencoder(model, autoencoder)
        if isinstance(model.network, MadmNetwork) and not isinstance(base, StableDiffusionBase):
            model.network.merge_adapter()  # nobody shares the U-Net, and merged it is faster
        segmenter = cls(
            model.network,
            model.modality,
            model.label_set,
            model.image_size,
            device=device,
            precision=precision,
            compile_mode=compile_mode,
            resize=resize,
            allow_eager_fallback=allow_eager_fallback,
            name=str(path_or_hub_id),
            input_statistics=model.input_statistics,
        )
        logger.info("%s", segmenter.description)
        return segmenter

    @property
    def description(self) -> str:
        """One line: what, for which sensor, how large, where and how it runs."""
        height, width = self.image_size
        return (
            f"{self.name}: {self.modality.name}, {len(self.label_set)} classes ({self.label_set.name}), "
            f"{self._parameters / 1e6:.1f} M parameters, {width}x{height} pixels ({self.resize}), "
            f"{self.precision} on {device_name(self.device)}"
            + (f", {self.runtime}" if self.runtime != "PyTorch" else "")
        )

    @property
    def problem(self) -> str:
        """What keeps the network from running as it was asked to, or from an answer to the last image; else empty."""
        if self._not_finite:
            return f"the network gave no finite numbers for {self._not_finite} pixels of the last image: they are 255"
        return self._run_network.problem if isinstance(self._run_network, CompiledNetwork) else ""

    def warm_up(self) -> float:
        """Segment one grey image of the network's size, so that the first real one is not slow; the time in seconds."""
        start = time.perf_counter()
        self.segment(np.full((*self.image_size, 3), 0.5, np.float32))
        return time.perf_counter() - start

    def segment(self, image: npt.NDArray[Any] | EncodedImage) -> Prediction:
        """Classify every pixel of an image of any size.

        Args:
            image: (H, W, 3) or (H, W), uint8 or float in [0, 1]; or what ``modality.encode`` gives, whose invalid
                pixels come out as label 255.

        Returns:
            Labels and confidence at the image's own size: the logits are resized, never the labels. Pixels for which
            the network has no finite numbers come out as label 255, and :attr:`problem` says how many.

        Raises:
            InvalidInputError: The image is empty or of another shape, type or range.
            DeviceError: The device ran out of memory or stopped working, or the compiler failed.
        """
        pixels = image.image if isinstance(image, EncodedImage) else image
        valid = image.valid if isinstance(image, EncodedImage) else None
        return self.prediction(self.logits(pixels), (pixels.shape[0], pixels.shape[1]), valid)

    def prediction(
        self, logits: Tensor, size: tuple[int, int], valid: npt.NDArray[np.bool_] | None = None
    ) -> Prediction:
        """What logits say at a size; of one run of the network it can be asked for several.

        Args:
            logits: (K, h, w) float32 of :meth:`logits`.
            size: (height, width) of the labels; the logits are resized to it.
            valid: (height, width): pixels where it is False get label 255; None: all of them are valid.

        Raises:
            InvalidInputError: ``valid`` has another size.
            DeviceError: The device ran out of memory or stopped working.
        """
        logits = logits[None]
        with torch.inference_mode(), self._advice():
            if size[0] < logits.shape[-2] or size[1] < logits.shape[-1]:
                logits = resize_image(logits, size)
            elif logits.shape[-2:] != size:
                logits = interpolate(logits, size=size, mode="bilinear", align_corners=False)
            highest, labels = logits[0].max(dim=0)
            confidence = (logits[0] - highest).exp_().sum(dim=0).reciprocal_()
            found = Prediction(*to_arrays(labels.to(torch.uint8), confidence))
        not_finite = 0
        if np.isnan(found.confidence.min()):  # logits of NaN or infinity: the softmax has no value there
            unknown = np.isnan(found.confidence)
            found.labels[unknown] = IGNORE
            found.confidence[unknown] = 0
            not_finite = int(np.count_nonzero(unknown))
        self._not_finite = not_finite
        if valid is not None:
            if valid.shape != size:
                raise InvalidInputError(
                    "validity mask of another size than its image", reason="size", got=valid.shape, expected=size
                )
            found.labels[~valid] = IGNORE
            found.confidence[~valid] = 0
        return found

    def logits(self, image: npt.NDArray[Any] | EncodedImage, resize: ResizeMode | None = None) -> Tensor:
        """(K, h, w) float32 logits at the network's resolution, on the segmenter's device.

        They cover the whole image; h and w depend on the resize mode. Raises as :meth:`segment` does.

        Args:
            image: As for :meth:`segment`.
            resize: Another mode than the segmenter's own; ``reference`` always gives the network's size.
        """
        pixels = image.image if isinstance(image, EncodedImage) else image
        with torch.inference_mode(), self._advice():
            tensor = image_tensor(pixels, self.device)
            return RESIZE_MODES[resize or self.resize](tensor, self.image_size, self._run)[0]

    def _run(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) images of the network's size -> (B, K, h, w) float32 logits."""
        return self._run_network(images).float()

    def _advice(self) -> DeviceAdvice:
        return DeviceAdvice(self.image_size, str(self.device), self.precision)


def _one_of(value: str, options: Any, what: str) -> Any:
    if value not in get_args(options):
        raise ConfigError(f"unknown {what}", got=repr(value), expected=", ".join(get_args(options)))
    return value
