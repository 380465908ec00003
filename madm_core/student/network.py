"""The student: a SegFormer whose head is computed in the cheaper order."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate
from transformers import SegformerForSemanticSegmentation

from madm_core.model.network import Deployment
from madm_core.model.precision import choose_device, choose_precision, weights_dtype
from madm_core.student.architecture import StudentArchitecture

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures that the published SegFormers were pretrained on; a student without them does not mind."""


class StudentNetwork(nn.Module):
    """A SegFormer over images in [0, 1].

    Its head takes the features of four stages to one number of channels, upsamples three of them to the first one's
    resolution, concatenates all and mixes them with a 1x1 convolution. Taking to one number of channels and mixing are
    both linear and blind to neighbours, upsampling is linear and blind to channels. So both linear maps are multiplied
    beforehand and applied *before* the upsampling, and the concatenation becomes a sum: the same function, in a
    fifth of the head's arithmetic.

    Args:
        model: The SegFormer. Its weights are used as they are; only the order of its head changes.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: SegformerForSemanticSegmentation) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).reshape(1, 3, 1, 1), persistent=False)

    @classmethod
    def random(cls, architecture: StudentArchitecture) -> StudentNetwork:
        """A student with weights drawn from PyTorch's generator."""
        return cls(SegformerForSemanticSegmentation(architecture.to_config()))

    @property
    def architecture(self) -> StudentArchitecture:
        """Its sizes."""
        return StudentArchitecture.of_config(self.model.config)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.model.config.num_labels)

    @property
    def fixed_size(self) -> bool:
        """False: any size whose sides are multiples of 32."""
        return False

    @property
    def parameter_count(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    def stages(self, images: Tensor) -> list[Tensor]:
        """Features of (B, 3, h, w) images in [0, 1] at a 4th, an 8th, a 16th and a 32nd of their resolution."""
        features: list[Tensor] = []
        hidden = (images - self.mean) / self.deviation
        for stage in self.model.segformer.stages:
            hidden = stage(hidden)
            features.append(hidden)
        return features

    def mixing_weights(self) -> tuple[list[Tensor], Tensor]:
        """The head's two linear maps as one: (D, C, 1, 1) for each stage, and their common (D,) bias."""
        head = self.model.decode_head
        # The head concatenates the stages from coarse to fine.
        mixing = head.linear_fuse.weight[:, :, 0, 0].chunk(len(head.linear_projections), dim=1)[::-1]
        layers = [projection.proj for projection in head.linear_projections]
        weights = [(mix @ layer.weight)[:, :, None, None] for mix, layer in zip(mixing, layers, strict=True)]
        bias = torch.stack([mix @ layer.bias for mix, layer in zip(mixing, layers, strict=True)]).sum(dim=0)
        return weights, bias

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) images in [0, 1] -> (B, K, h/4, w/4) logits."""
        features = self.stages(images)
        weights, bias = self.mixing_weights()
        head = self.model.decode_head
        mixed = head.batch_norm(mix_stages(features, weights, bias))
        logits: Tensor = head.classifier(head.dropout(head.activation(mixed)))
        return logits

    def deploy(self, device: str, precision: str) -> Deployment:
        """Make it ready to run; see :class:`madm_core.model.network.SegmentationNetwork`."""
        place = choose_device(device)
        chosen = choose_precision(precision, place)
        self.eval().requires_grad_(False)
        return Deployment(DeployedStudent(self, weights_dtype(chosen)).to(place), place, chosen)


class DeployedStudent(nn.Module):
    """The student for inference: the linear maps multiplied once, batch normalisation folded into them.

    Args:
        network: A student in evaluation mode; its encoder is taken over and converted in place.
        dtype: Number format of weights and features.
    """

    def __init__(self, network: StudentNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.network = network
        head = network.model.decode_head
        norm = head.batch_norm
        with torch.no_grad():
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weights, bias = network.mixing_weights()
            self.mixing = nn.ParameterList(
                nn.Parameter((weight * scale[:, None, None, None]).to(dtype), requires_grad=False) for weight in weights
            )
            folded = norm.bias + (bias - norm.running_mean) * scale
        self.bias = nn.Parameter(folded.to(dtype), requires_grad=False)
        self.classifier = head.classifier.to(dtype)
        network.to(dtype)
        self.eval()

    def train(self, mode: bool = True) -> DeployedStudent:
        """Stays in evaluation mode: exporters that put a network back into "its" mode would switch dropout on."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) images in [0, 1] -> (B, K, h, w) logits."""
        features = self.network.stages(images.to(self.dtype))
        mixed = torch.relu(mix_stages(features, list(self.mixing), self.bias))
        logits = self.classifier(mixed)
        return interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)


def mix_stages(features: list[Tensor], weights: list[Tensor], bias: Tensor) -> Tensor:
    """Sum of the stages' 1x1 convolutions at the first stage's resolution.

    Args:
        features: (B, C_i, h_i, w_i), fine to coarse.
        weights: (D, C_i, 1, 1) of each.
        bias: (D,).
    """
    total = conv2d(features[0], weights[0], bias)
    for feature, weight in zip(features[1:], weights[1:], strict=True):
        mixed = conv2d(feature, weight)
        total = total + interpolate(mixed, size=total.shape[-2:], mode="bilinear", align_corners=False)
    return total
