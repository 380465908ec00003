"""Loads a Stable Diffusion 1.x base: its U-Net, autoencoder, noise schedule and, when needed, text encoder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDPMScheduler, ModelMixin, UNet2DConditionModel
from torch import Tensor

from madm_core.errors import BaseModelError
from madm_core.model.base_files import find_base, read_json
from madm_core.model.checksums import weights_sha256
from madm_core.model.lora import base_state

logger = logging.getLogger(__name__)

_MAX_TIMESTEPS = 100_000
_MAX_LAYERS = 64
"""diffusers makes layers one after the other: with a damaged number it would do so until the memory is full."""
"""Far above any diffusion model's 1000: the schedule is made as an array."""

_Model = TypeVar("_Model", UNet2DConditionModel, AutoencoderKL, AutoencoderTiny)


@dataclass(frozen=True)
class StableDiffusionBase:
    """A pretrained base.

    Attributes:
        name: The path or hub id that it was loaded from.
        unet: The denoising U-Net, float32.
        vae: The autoencoder, float32.
        scheduler_config: The scheduler's configuration as it was found; see :func:`noise_schedule`.
    """

    name: str
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler_config: Mapping[str, Any]

    @cached_property
    def vae_sha256(self) -> str:
        """Hash of the autoencoder's weights, kept: the first model that runs on the base may round them in place."""
        return weights_sha256(self.vae.state_dict())

    @cached_property
    def unet_sha256(self) -> str:
        """Hash of the U-Net's own weights without adapters, kept likewise."""
        return weights_sha256(base_state(self.unet))

    def encode_empty_prompt(self) -> Tensor:
        """(1, 77, width) float32 embedding of the empty prompt, by the base's own text encoder."""
        from madm_core.model.text_encoder import encode_empty_prompt

        return encode_empty_prompt(self.name)


def load_base(path_or_hub_id: str | Path) -> StableDiffusionBase:
    """Load and verify a base.

    Args:
        path_or_hub_id: A diffusers directory, or a hub id, which is looked for in the local cache first.

    Raises:
        BaseModelError: It is missing, incomplete, corrupt, lacks tensors or has unexpected ones, or is of a family that
            MADM does not support.
    """
    directory = find_base(path_or_hub_id, ("unet", "vae", "scheduler"))
    unet_config, vae_config = (
        read_json(directory / "unet" / "config.json"),
        read_json(directory / "vae" / "config.json"),
    )
    check_shapes(unet_config, vae_config, str(path_or_hub_id))
    scheduler_config = read_json(directory / "scheduler" / "scheduler_config.json")
    noise_schedule(scheduler_config)
    base = StableDiffusionBase(
        name=str(path_or_hub_id),
        unet=load_component(UNet2DConditionModel, directory / "unet"),
        vae=load_component(AutoencoderKL, directory / "vae"),
        scheduler_config=scheduler_config,
    )
    logger.info(
        "loaded the base %s: U-Net %s, autoencoder %s parameters",
        path_or_hub_id,
        *(f"{sum(tensor.numel() for tensor in part.parameters()):,}" for part in (base.unet, base.vae)),
    )
    return base


def noise_schedule(scheduler_config: Mapping[str, Any]) -> Tensor:
    """(timesteps,) float32 products of alphas of a diffusers scheduler configuration.

    Raises:
        BaseModelError: The configuration does not describe a noise schedule of a model that predicts noise.
    """
    if "beta_start" not in scheduler_config or "beta_end" not in scheduler_config:
        raise BaseModelError(
            "the base's scheduler has no noise schedule",
            got=sorted(scheduler_config),
            expected="beta_start, beta_end and beta_schedule",
        )
    prediction = scheduler_config.get("prediction_type", "epsilon")
    if prediction != "epsilon":
        raise BaseModelError(
            "the base was trained to predict something else than noise",
            got=f"prediction_type {prediction!r}",
            expected="'epsilon', as in Stable Diffusion 1.x",
        )
    names = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "trained_betas")
    try:
        if not 0 < int(scheduler_config.get("num_train_timesteps", 1000)) <= _MAX_TIMESTEPS:
            raise ValueError(f"num_train_timesteps is {scheduler_config['num_train_timesteps']}")
        scheduler = DDPMScheduler(**{name: scheduler_config[name] for name in names if name in scheduler_config})
    except Exception as error:  # diffusers checks nothing: it fails wherever a value does not fit
        raise BaseModelError("the base's scheduler cannot be used", got=error) from error
    schedule: Tensor = scheduler.alphas_cumprod.float()
    return schedule


def check_shapes(unet: Mapping[str, Any], vae: Mapping[str, Any], name: str) -> None:
    """Check that a base's configurations describe a Stable Diffusion 1.x-shaped model of any width.

    Raises:
        BaseModelError: They do not; the message says in what.
    """
    found = {
        "U-Net class": unet.get("_class_name", "UNet2DConditionModel"),
        "U-Net levels": len(unet.get("block_out_channels", ())),
        "U-Net layers a level": unet.get("layers_per_block", 2),
        "U-Net input channels": unet.get("in_channels", 4),
        "U-Net output channels": unet.get("out_channels", 4),
        "U-Net extra embedding": unet.get("addition_embed_type"),
        "U-Net guidance embedding": unet.get("time_cond_proj_dim"),
        "autoencoder levels": len(vae.get("block_out_channels", ())),
        "latent channels": vae.get("latent_channels", 4),
    }
    allowed: Mapping[str, tuple[Any, ...]] = {
        "U-Net class": ("UNet2DConditionModel",),
        "U-Net levels": (4,),
        "U-Net layers a level": (2,),
        "U-Net input channels": (4,),
        "U-Net output channels": (4,),
        "U-Net extra embedding": (None,),
        "U-Net guidance embedding": (None,),
        "autoencoder levels": (4, 3),  # 3: finer latents, for pictures smaller than Stable Diffusion's
        "latent channels": (4,),
    }
    wrong = [key for key in allowed if found[key] not in allowed[key]]
    if wrong:
        raise BaseModelError(
            f"the base {name} is not shaped like Stable Diffusion 1.x",
            got=", ".join(f"{key} {found[key]}" for key in wrong),
            expected=", ".join(f"{key} {' or '.join(map(str, allowed[key]))}" for key in wrong),
            do="use a Stable Diffusion 1.x base such as CompVis/stable-diffusion-v1-4",
        )


def load_vae(directory: Path) -> AutoencoderKL:
    """The verified autoencoder of a base directory. Raises :class:`BaseModelError` as :func:`load_base` does."""
    return load_component(AutoencoderKL, directory / "vae")


def _check_layers(config: Mapping[str, Any], name: str) -> None:
    """Refuse a configuration of more layers than any network of this kind has."""

    def largest(value: Any) -> float:
        if isinstance(value, list):
            return max(map(largest, value), default=0)
        return value if isinstance(value, (int, float)) else 0

    for key, value in config.items():
        if "layers" in key and not largest(value) <= _MAX_LAYERS:
            raise BaseModelError(
                f"the configuration of {name} cannot be used", got=f"{key}: {value}", expected=f"at most {_MAX_LAYERS}"
            )


def model_from_config(
    model_class: type[_Model], config: Mapping[str, Any], state: Mapping[str, Tensor], name: str
) -> _Model:
    """A U-Net or autoencoder from its configuration and weights, without making random weights first.

    Args:
        model_class: The diffusers class.
        config: Its configuration.
        state: Tensors by the class's own names. They become the model's weights (no copy when they are float32).
        name: What to call it in errors.

    Raises:
        BaseModelError: A tensor is missing, not expected or of another shape.
    """
    _check_layers(config, name)
    try:
        with torch.device("meta"):
            model: _Model = model_class.from_config(dict(config))
    except Exception as error:  # diffusers checks nothing: it fails wherever a value does not fit
        raise BaseModelError(
            f"the configuration of {name} cannot be used",
            got=f"{type(error).__name__}: {error}",
            expected=f"a config.json of diffusers' {model_class.__name__}",
        ) from error
    expected = {key: tensor.shape for key, tensor in model.state_dict().items()}
    mismatch = describe_mismatch(expected, {key: tensor.shape for key, tensor in state.items()})
    if mismatch:
        raise BaseModelError(
            f"the weights of {name} do not fit its configuration",
            got=mismatch,
            expected=f"exactly the {len(expected)} tensors of the configuration",
            do="get the weights and the configuration from the same model",
        )
    model.load_state_dict({key: tensor.float() for key, tensor in state.items()}, assign=True)
    return model.eval()


def describe_mismatch(expected: Mapping[str, torch.Size], found: Mapping[str, torch.Size]) -> str | None:
    """In words, how the names and shapes of two sets of tensors differ; None when they do not."""
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    reshaped = [
        f"{key} {tuple(found[key])} instead of {tuple(expected[key])}"
        for key in expected
        if key in found and found[key] != expected[key]
    ]
    problems = [
        f"{len(keys)} tensors {word} (e.g. {keys[0]})"
        for word, keys in (("missing", missing), ("not expected", unexpected), ("of another shape", reshaped))
        if keys
    ]
    return ", ".join(problems) or None


def load_component(model_class: type[_Model], directory: Path) -> _Model:
    """A network of diffusers in its directory, in float32, refused unless every tensor was found and used.

    Raises:
        BaseModelError: It is missing, damaged or another network.
    """
    if (directory / "config.json").is_file():
        _check_layers(read_json(directory / "config.json"), str(directory))
    try:
        model, report = model_class.from_pretrained(
            directory, output_loading_info=True, torch_dtype=torch.float32, local_files_only=True
        )
    except Exception as error:  # diffusers and safetensors fail in many ways on damaged files
        raise BaseModelError(
            f"cannot load {directory}",
            got=f"{type(error).__name__}: {error}",
            expected="complete weights of its config.json",
            do="download it again",
        ) from error
    problems = [
        f"{len(report[key])} {key.replace('_', ' ')} (e.g. {next(iter(report[key]))})"
        for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
        if report[key]
    ]
    if problems:
        raise BaseModelError(
            f"the weights in {directory} do not fit its config.json",
            got=", ".join(problems),
            expected="every tensor of the configuration and no other",
            do="download it again: training or running without pretrained weights gives nothing",
        )
    assert isinstance(model, ModelMixin)
    return model.eval()
