"""One training step: student and teacher around one shared diffusion backbone (algorithm section 4)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from madm_core.adaptation.appearance import change_appearance
from madm_core.adaptation.augmentation import apply_strong_augmentation
from madm_core.adaptation.class_mix import class_masks, mix
from madm_core.adaptation.draws import StepDraws
from madm_core.adaptation.latent_regression import labelled, palette_image
from madm_core.adaptation.losses import latent_regression_loss, segmentation_loss
from madm_core.adaptation.method import Method
from madm_core.adaptation.pseudo_labels import MixedTargets, PseudoLabels, mixed_targets, pseudo_labels
from madm_core.adaptation.teacher import ema_decay, update_average
from madm_core.labels import LabelSet
from madm_core.model.diffusion_backbone import DiffusionBackbone
from madm_core.model.madm import MadmNetwork, MadmOutput, run_branch


@dataclass(frozen=True)
class Batch:
    """What a step sees.

    Args:
        source_image: (B, 3, H, W) float32 in [0, 1], labelled colour pictures.
        source_labels: (B, 1, H, W) int64, 255 = ignored.
        target_image: (B, 3, H, W) float32 in [0, 1], unlabelled frames of the other sensor.
        target_valid: (B, 1, H, W) bool, False where that sensor measured nothing; None = measured everywhere.
    """

    source_image: torch.Tensor
    source_labels: torch.Tensor
    target_image: torch.Tensor
    target_valid: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        source, labels, target = (
            tensor.to(device, non_blocking=True)
            for tensor in (self.source_image, self.source_labels, self.target_image)
        )
        valid = None if self.target_valid is None else self.target_valid.to(device, non_blocking=True)
        return Batch(source, labels, target, valid)


@dataclass
class BranchResult:
    """What one branch gives.

    Args:
        losses: Name -> weighted scalar; their plain sum is to be minimised.
        output: What the student made of the branch's picture.
        image: (B, 3, H, W), that picture.
        labels: (B, 1, H, W) what it was taught.
        pseudo: The teacher's verdict; the mixed branch only.
        targets: Labels and weights of the mixed picture; the mixed branch only.
        regression_targets: (B, 4, h, w) latent of the palette picture; None without latent regression.
    """

    losses: dict[str, torch.Tensor]
    output: MadmOutput
    image: torch.Tensor
    labels: torch.Tensor
    pseudo: PseudoLabels | None = None
    targets: MixedTargets | None = None
    regression_targets: torch.Tensor | None = field(default=None)

    @property
    def loss(self) -> torch.Tensor:
        """The sum of the losses."""
        return torch.stack(list(self.losses.values())).sum()


class Teacher(nn.Module):
    """Averaged copies of the student's parts; the UNet is the student's own unless ``ema_unet`` is on.

    Args:
        student: The network to copy.
        method: Decides what is averaged and how the teacher's head behaves.
    """

    def __init__(self, student: MadmNetwork, method: Method) -> None:
        super().__init__()
        self.method = method
        self.condition = copy.deepcopy(student.condition)
        self.projections = copy.deepcopy(student.projections)
        self.head = copy.deepcopy(student.head)
        self.unet = copy.deepcopy(student.backbone.unet) if method.ema_unet else None
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Teacher:
        """Training mode as the method wants it; evaluation mode switches everything to evaluation."""
        super().train(mode)
        for module in self.head.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and not self.method.teacher_batch_statistics:
                module.eval()
            if isinstance(module, nn.modules.dropout._DropoutNd) and not self.method.teacher_dropout:
                module.eval()
        return self

    def update(self, student: MadmNetwork, step: int) -> None:
        """The update that comes before the forward pass of ``step`` >= 1."""
        decay = ema_decay(step, self.method.ema_limit)
        for average, current in self._pairs(student):
            update_average(average, current, decay, buffers=self.method.ema_batch_norm)

    def _pairs(self, student: MadmNetwork) -> Iterator[tuple[nn.Module, nn.Module]]:
        yield self.condition, student.condition
        yield self.projections, student.projections
        yield self.head, student.head
        if self.unet is not None:
            yield self.unet, student.backbone.unet

    @torch.no_grad()
    def forward(self, backbone: DiffusionBackbone, image: torch.Tensor, timestep: int) -> MadmOutput:
        """Segments (B, 3, H, W) pictures with the student's backbone, or with the averaged UNet in its place."""
        student_unet = backbone.unet
        try:
            if self.unet is not None:
                backbone.unet = self.unet
            return run_branch(backbone, self.condition, self.projections, self.head, image, timestep)
        finally:
            backbone.unet = student_unet


class AdaptationModel(nn.Module):
    """Student and teacher, and what a step does with them.

    Args:
        student: The network that is trained and, as a rule, deployed.
        method: The switches.
        label_set: Classes and their colours.
    """

    def __init__(self, student: MadmNetwork, method: Method, label_set: LabelSet) -> None:
        super().__init__()
        self.student = student
        self.teacher = Teacher(student, method)
        self.method = method
        self.label_set = label_set
        if method.train_output_layers:
            student.backbone.unet.conv_norm_out.requires_grad_(True)
            student.backbone.unet.conv_out.requires_grad_(True)

    def forward(self, branch: str, batch: Batch, draws: StepDraws) -> BranchResult:
        """Runs the ``"source"`` or the ``"mixed"`` branch.

        The two are separate calls, so that the source branch's gradients can be computed, and its activations freed,
        before the mixed branch starts. The source branch goes first: BatchNorm's running statistics depend on it.
        """
        batch = dataclasses.replace(batch, source_image=change_appearance(batch.source_image, draws.appearance))
        return self._source_branch(batch) if branch == "source" else self._mixed_branch(batch, draws)

    def _source_branch(self, batch: Batch) -> BranchResult:
        method, labels = self.method, batch.source_labels
        output = self.student(batch.source_image, 0)
        loss = segmentation_loss(output.logits.float(), labels, denominator=method.loss_denominator)
        result = BranchResult({"source_loss": loss}, output, batch.source_image, labels)
        if method.source_regression_weight:
            self._add_regression(result, "source", method.source_regression_weight, labelled(labels))
        return result

    def _mixed_branch(self, batch: Batch, draws: StepDraws) -> BranchResult:
        method = self.method
        masks = class_masks(batch.source_labels, draws.classes)
        picture = mix(batch.source_image, batch.target_image, masks)
        picture = apply_strong_augmentation(picture, draws.augmentations, method.color_jitter)
        output = self.student(picture, 0)
        verdict = self.teacher(self.student.backbone, batch.target_image, draws.timestep)
        valid = None if method.pseudo_labels_on_invalid else batch.target_valid
        pseudo = pseudo_labels(verdict.logits, method.confidence_threshold, valid)
        targets = mixed_targets(batch.source_labels, pseudo, masks, regression_weight=method.regression_pixel_weight)
        loss = segmentation_loss(
            output.logits.float(),
            targets.labels,
            pixel_weight=targets.pixel_weight,
            denominator=method.loss_denominator,
        )
        weighted = method.target_loss_weight * loss
        result = BranchResult({"target_loss": weighted}, output, picture, targets.labels, pseudo, targets)
        if method.target_regression_weight:
            self._add_regression(result, "target", method.target_regression_weight, targets.regression_mask)
        return result

    def _add_regression(self, result: BranchResult, name: str, weight: float, mask: torch.Tensor) -> None:
        result.regression_targets = self.student.backbone.encode(palette_image(result.labels, self.label_set)).float()
        loss = latent_regression_loss(
            result.output.sample.float(),
            result.regression_targets,
            mask,
            norm=self.method.regression_norm,
            denominator=self.method.loss_denominator,
        )
        result.losses[f"{name}_regression_loss"] = weight * loss

    def parts(self) -> dict[str, nn.Module]:
        """The parts that are trained, by the names used for learning rates and checkpoints."""
        student = self.student
        return {
            "unet": student.backbone.unet,
            "condition": student.condition,
            "projections": student.projections,
            "head": student.head,
        }

    def deployed_network(self) -> MadmNetwork:
        """The student or a network of the teacher's weights, as ``deployed_weights`` says; shares their tensors."""
        if self.method.deployed_weights == "student":
            return self.student
        backbone = self.student.backbone
        if self.teacher.unet is not None:
            height, width = backbone.shared_noise.noise.shape[-2:]
            size = (height * backbone.stride, width * backbone.stride)
            backbone = DiffusionBackbone(self.teacher.unet, backbone.vae, backbone.scheduler_config, size)
        network = copy.copy(self.student)
        network._modules = {
            "backbone": backbone,
            "condition": self.teacher.condition,
            "projections": self.teacher.projections,
            "head": self.teacher.head,
        }
        return network
