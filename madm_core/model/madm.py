"""The MADM network: diffusion backbone, learned condition, projections and head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from madm_core.errors import ConfigError
from madm_core.model.autoencoder_options import AutoencoderOptions
from madm_core.model.condition import PromptCondition
from madm_core.model.deployment import deployed_form
from madm_core.model.diffusion_backbone import DiffusionBackbone, latent_stride
from madm_core.model.folded_head import FoldedHead
from madm_core.model.head import SegmentationHead
from madm_core.model.lora import LoraSettings, activate_adapter, add_adapter, merge_adapter
from madm_core.model.network import Deployment
from madm_core.model.precision import choose_device, choose_precision
from madm_core.model.projections import FeatureProjections
from madm_core.model.stable_diffusion import StableDiffusionBase


@dataclass(frozen=True)
class MadmArchitecture:
    """Sizes of what MADM adds to its base; the defaults are the published network's (algorithm.md 2.4 and 2.5).

    Args:
        classes: Number of classes.
        projection_channels: Channels of s0, s3, s4, s5 after projection; multiples of 32.
        projection_bottleneck: Channels inside the projection blocks; a multiple of 32.
        embedding_channels: Channels of each scale's embedding in the head.
        head_channels: Channels of the head's branches.
        dropout: Probability that training drops a channel before the classifier.
        lora: Train low-rank adapters on the U-Net's attention instead of the U-Net itself; None, the published method,
            trains the U-Net.
    """

    classes: int
    projection_channels: tuple[int, int, int, int] = (128, 512, 512, 512)
    projection_bottleneck: int = 128
    embedding_channels: int = 256
    head_channels: int = 256
    dropout: float = 0.1
    lora: LoraSettings | None = None

    def __post_init__(self) -> None:
        if any(width % 32 for width in (*self.projection_channels, self.projection_bottleneck)):
            raise ConfigError(
                "projection widths of the architecture",
                got=(*self.projection_channels, self.projection_bottleneck),
                expected="multiples of 32, the groups of their normalisation",
            )

    @classmethod
    def tiny(cls, classes: int) -> MadmArchitecture:
        """A very small network, to go with :func:`madm_core.model.tiny_base.write_tiny_base`."""
        return cls(classes, (32, 32, 32, 32), projection_bottleneck=32, embedding_channels=16, head_channels=16)


class MadmOutput(NamedTuple):
    """What the network makes of B images of (H, W) pixels.

    Attributes:
        logits: (B, classes, H, W).
        sample: (B, 4, h, w) U-Net output as a latent (h = H/8 in Stable Diffusion); the latent regression's gradients
            enter here.
        features: Projected s0 (B, C0, H, W), s3 (.., h, w), s4 (.., h/2, w/2), s5 (.., h/4, w/4).
        decoded: (B, 3, H, W) the sample decoded, about [-1, 1], not clipped, without gradients.
    """

    logits: Tensor
    sample: Tensor
    features: tuple[Tensor, ...]
    decoded: Tensor


def run_branch(
    backbone: DiffusionBackbone,
    condition: PromptCondition,
    projections: FeatureProjections,
    head: nn.Module,
    image: Tensor,
    timestep: int | Tensor = 0,
) -> MadmOutput:
    """One forward pass through a shared backbone with a given condition, projections and head.

    The student runs its own three; a teacher runs copies of the three on the same backbone (algorithm.md 3).

    Args:
        backbone: The diffusion backbone.
        condition: Learned condition.
        projections: Feature projections.
        head: A :class:`SegmentationHead`, or its folded form.
        image: (B, 3, H, W) in [0, 1]; H and W multiples of the autoencoder's stride.
        timestep: Noise level of 0..T-1: one for all images, or (B,) integers.
    """
    extracted = backbone(image, timestep, condition())
    features = projections(extracted.features)
    return MadmOutput(head(features), extracted.sample, features, extracted.decoded)


class MadmNetwork(nn.Module):
    """The published network.

    Args:
        backbone: The diffusion backbone.
        condition: Learned text condition.
        projections: Feature projections.
        head: Segmentation head.
        architecture: The sizes that projections and head were made with.
        adapter: Name of the adapter on the backbone's U-Net that belongs to this network; None when there is none.
    """

    def __init__(
        self,
        backbone: DiffusionBackbone,
        condition: PromptCondition,
        projections: FeatureProjections,
        head: SegmentationHead,
        architecture: MadmArchitecture,
        adapter: str | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.condition = condition
        self.projections = projections
        self.head: nn.Module = head
        self.architecture = architecture
        self.adapter = adapter
        self.autoencoder_options = AutoencoderOptions()
        """How :meth:`deploy` changes the autoencoder; not stored with the network."""

    @classmethod
    def from_base(
        cls,
        base: StableDiffusionBase,
        architecture: MadmArchitecture,
        image_size: tuple[int, int],
        *,
        unconditional: Tensor | None = None,
    ) -> MadmNetwork:
        """An untrained network around a base; the new parts' weights come from PyTorch's global random state.

        Args:
            base: The pretrained base. Its modules are used, not copied.
            architecture: Sizes of the parts that MADM adds.
            image_size: (height, width) of the network's images in pixels; multiples of the autoencoder's
                stride, which is 8 in Stable Diffusion.
            unconditional: (1, tokens, width) embedding of the empty prompt; computed by the base's text encoder when
                None.

        Raises:
            ConfigError: ``image_size`` is not made of multiples of the autoencoder's stride.
            BaseModelError: The base has no usable text encoder and ``unconditional`` is None.
        """
        stride = latent_stride(base.vae)
        if any(side <= 0 or side % stride for side in image_size):
            raise ConfigError("the network's image size", got=image_size, expected=f"positive multiples of {stride}")
        if unconditional is None:
            unconditional = base.encode_empty_prompt()
        adapter = None if architecture.lora is None else add_adapter(base.unet, architecture.lora)
        channels = tuple(base.unet.config.block_out_channels)
        backbone = DiffusionBackbone(base.unet, base.vae, base.scheduler_config, image_size)
        condition = PromptCondition(unconditional, base.unet.time_embedding.linear_2.out_features)
        projections = FeatureProjections(
            (3, channels[0], channels[1], channels[2]),
            architecture.projection_channels,
            architecture.projection_bottleneck,
        )
        head = SegmentationHead(
            architecture.projection_channels,
            architecture.embedding_channels,
            architecture.head_channels,
            architecture.classes,
            architecture.dropout,
        )
        return cls(backbone, condition, projections, head, architecture, adapter)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.architecture.classes

    @property
    def fixed_size(self) -> bool:
        """False: images may have any sides that are multiples of the autoencoder's stride, and come in batches."""
        return False

    @property
    def parameter_count(self) -> int:
        """Number of weights."""
        return sum(tensor.numel() for tensor in self.parameters())

    def deploy(self, device: str, precision: str) -> Deployment:
        """Make the network ready to run; see :class:`madm_core.model.network.SegmentationNetwork`.

        The network is changed in place: converted, moved, its head folded.
        """
        place = choose_device(device)
        chosen = choose_precision(precision, place)
        self.eval().requires_grad_(False)
        changes = self.autoencoder_options.describe()
        runtime = f"PyTorch, {changes}" if changes else "PyTorch"
        return Deployment(deployed_form(self, place, chosen), place, chosen, runtime)

    def cast(self, dtype: torch.dtype) -> MadmNetwork:
        """Convert the weights to ``dtype``, in place, but keep noise, schedule and condition in float32.

        The schedule's first entry, 0.99915, would be 1 in bfloat16, and the noise at t = 0 would vanish.
        """
        for part in (self.backbone.unet, self.backbone.vae, self.projections, self.head):
            nn.Module.to(part, dtype)  # diffusers' own .to warns about modules that are not there
        return self

    def merge_adapter(self) -> MadmNetwork:
        """Add the adapter, if there is one, to the U-Net's weights, in place; then it can no longer be saved alone."""
        if self.adapter is not None:
            merge_adapter(self.backbone.unet, self.adapter)
            self.adapter = None
        return self

    def fold_head(self) -> MadmNetwork:
        """Replace the head by its cheaper form for inference; the network can then be neither trained nor saved."""
        if isinstance(self.head, SegmentationHead):
            self.head = FoldedHead(self.head)
        return self

    def forward(self, image: Tensor, timestep: int | Tensor = 0) -> MadmOutput:
        """Segment (B, 3, H, W) images in [0, 1]; see :func:`run_branch`."""
        if self.adapter is not None:
            activate_adapter(self.backbone.unet, self.adapter)  # another network may share the U-Net
        return run_branch(self.backbone, self.condition, self.projections, self.head, image, timestep)
