"""From a configuration to the objects of a run: network, data, distributed engine."""

from __future__ import annotations

import logging

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import nn

from madm_core import process_group
from madm_core.adaptation.draws import derive_seed
from madm_core.adaptation.optimizer import make_optimizer, parameter_groups
from madm_core.adaptation.step import AdaptationModel
from madm_core.adaptation.training_config import EngineConfig, TrainingConfig
from madm_core.adaptation.validation import require_scorable
from madm_core.data.class_counts import class_counts
from madm_core.data.frames import Frames
from madm_core.data.rare_class import RareClassSampler
from madm_core.data.samples import TrainingSamples
from madm_core.data.sources import open_frames
from madm_core.errors import ConfigError, DataError
from madm_core.model.madm import MadmNetwork
from madm_core.model.precision import choose_device
from madm_core.model.stable_diffusion import load_base

logger = logging.getLogger(__name__)


def make_accelerator(engine: EngineConfig) -> Accelerator:
    """The distributed engine: one process, or those of ``accelerate launch``.

    Raises:
        DeviceError: The device is not there.
        ConfigError: The precision does not fit the device.
    """
    device = choose_device(engine.device)
    precision = engine.mixed_precision
    if precision == "auto":
        precision = "no"
        if device.type == "cuda":
            precision = "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    if device.type == "cpu" and precision == "fp16":
        raise ConfigError("engine.mixed_precision fp16 needs CUDA", got="device cpu", do="use no or bf16")
    if device.type == "cpu" and engine.sync_batch_norm:
        raise ConfigError("engine.sync_batch_norm needs CUDA", got="device cpu", do="leave it off")
    if device.type == "cpu" and precision == "bf16" and engine.channels_last:
        # oneDNN's backward pass of the head's depthwise convolution with dilation 18 reads beyond its memory.
        raise ConfigError(
            "engine.channels_last with mixed_precision bf16 needs CUDA",
            got="device cpu, where PyTorch's backward pass of both together ends in a segmentation fault",
            do="leave one of them off",
        )
    # Buffers are each process's own (BatchNorm sees its own batch, as in the reference).
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    handlers = [parallel, InitProcessGroupKwargs(timeout=process_group.TIMEOUT)]
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision, kwargs_handlers=handlers)


def make_model(config: TrainingConfig, accelerator: Accelerator) -> AdaptationModel:
    """Student and teacher on the accelerator's device, in training mode; the new layers' weights follow from the seed.

    Raises:
        BaseModelError: The base cannot be loaded.
    """
    engine = config.engine
    base = load_base(config.base)
    torch.manual_seed(derive_seed(config.seed, "weights"))
    student = MadmNetwork.from_base(base, config.network_architecture, config.image_size)
    model = AdaptationModel(student, config.resolved_method, config.labels)
    backbone = student.backbone
    if accelerator.mixed_precision != "no" and engine.half_vae:
        backbone.vae.to(torch.float16 if accelerator.mixed_precision == "fp16" else torch.bfloat16)
    if engine.gradient_checkpointing:
        backbone.unet.enable_gradient_checkpointing()
        student.head.enable_gradient_checkpointing()  # type: ignore[operator]
    if engine.sync_batch_norm:
        student.head = nn.SyncBatchNorm.convert_sync_batchnorm(student.head)
    if engine.channels_last:
        for part in (backbone.unet, backbone.vae, student.head):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.to(accelerator.device)
    if engine.compile:
        backbone.denoise = torch.compile(backbone.denoise)  # type: ignore[method-assign]
    return model.train()


def make_training_optimizer(
    config: TrainingConfig, model: AdaptationModel, device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser over everything that is trained, with the UNet's and the new layers' own rates."""
    method, parts = config.resolved_method, model.parts()
    rates = {name: method.learning_rate if name == "unet" else method.new_layer_learning_rate for name in parts}
    groups = parameter_groups(parts, rates, method.weight_decay)
    return make_optimizer(groups, config.engine.optimizer, method.betas, device=device)


def open_data(config: TrainingConfig, *, progress: bool) -> tuple[Frames, Frames, Frames | None]:
    """Source, target and validation frames.

    Raises:
        DataError: The data cannot be used.
    """
    modality, labels, cache = config.make_modality(), config.labels, config.cache_folder
    common = {"label_set": labels, "cache": cache, "progress": progress}
    # A labelled source is colour pictures, except where the target's own sensor is the source (a supervised oracle).
    source_modality = modality if config.source.get("sensor", "rgb") != "rgb" else None
    source = open_frames(config.source, modality=source_modality, where="source", **common)  # type: ignore[arg-type]
    target = open_frames(config.target, modality=modality, where="target", **common)  # type: ignore[arg-type]
    if not source.labelled:
        raise DataError("the source has no labels", got=source.name, do="name its label folder")
    validation = None
    if config.validation is not None:
        validation = open_frames(config.validation, modality=modality, where="validation", **common)  # type: ignore[arg-type]
        if not validation.labelled:
            raise DataError("the validation data have no labels", got=validation.name, do="leave validation out")
        require_scorable(validation)
    for frames in (source, target, validation):
        if frames is not None:
            warn_about_count(frames)
    return source, target, validation


def warn_about_count(frames: Frames) -> None:
    """Says in the log how many frames there are, and warns when the published set has another number."""
    logger.info("%s: %d frames", frames.name, len(frames))
    if frames.expected_count not in (None, len(frames)):
        logger.warning("%s has %d frames; the published set has %d", frames.name, len(frames), frames.expected_count)


def make_samples(config: TrainingConfig, source: Frames, target: Frames, *, progress: bool) -> TrainingSamples:
    """Training samples, with rare class sampling where the recipe wants it.

    Raises:
        DataError: Label statistics cannot be made.
    """
    method = config.resolved_method
    sampler = None
    if method.rare_class_sampling:
        counts = class_counts(source, config.cache_folder, progress=progress)
        sampler = RareClassSampler.from_counts(
            counts, temperature=method.rare_class_temperature, min_pixels=method.rare_class_min_pixels
        )
    return TrainingSamples(
        source,
        target,
        image_size=config.image_size,
        seed=config.seed,
        rare_classes=sampler,
        min_crop_pixels=method.rare_class_min_crop_pixels,
    )
