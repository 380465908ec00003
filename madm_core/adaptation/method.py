"""The switches of the method, and the two recipes that set them: ``reference`` and ``madm``.

``reference`` is what the authors' code effectively does, oddities included; golden numbers hold it to that. ``madm`` is
our considered choice. docs/recipe.md gives the reason of every difference.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from madm_core.adaptation.augmentation import ColorJitterKind
from madm_core.adaptation.losses import Denominator
from madm_core.config import from_mapping
from madm_core.errors import ConfigError

RecipeName = Literal["reference", "madm"]

_SHARES = (
    "noise_end_fraction",
    "confidence_threshold",
    "ema_limit",
    "jitter_probability",
    "jitter_strength",
    "blur_probability",
    "appearance_probability",
    "source_only_fraction",
    "warmup_fraction",
    "warmup_start",
    "head_dropout",
)


@dataclasses.dataclass(frozen=True)
class Method:
    """Everything that decides what is learnt. The defaults are those of ``recipe: madm``.

    Args:
        noise_start: Timestep of the noise on the teacher's latents at the first step with pseudo-labels; 0 = plain
            self-training.
        noise_start_spread: The start is drawn anew at every step from ``noise_start .. noise_start + spread``.
        noise_end_step: Number of steps with pseudo-labels after which the noise has gone; None ties it to their number.
        noise_end_fraction: Share of the steps with pseudo-labels after which the noise has gone, used when
            ``noise_end_step`` is None.
        pseudo_labels_on_invalid: Pixels where the target's sensor measured nothing (a depth camera's holes, which the
            modality fills in) are pseudo-labelled as well. Otherwise they count neither in q nor in any loss.
        confidence_threshold: Pseudo-labels at least as probable count towards q, their weight.
        ema_limit: Largest share of the teacher that survives an update.
        ema_unet: The teacher has an averaged UNet of its own instead of the student's.
        ema_batch_norm: BatchNorm's running statistics are averaged along with the weights.
        teacher_dropout: Dropout stays active while the teacher labels.
        teacher_batch_statistics: The teacher normalises by the batch's statistics instead of the running ones.
        mix_classes_from: Classes to paste are drawn from the sample's own labels or from the whole batch's.
        mix_ignored: 255 can be drawn as a class.
        color_jitter: Which library's colour jitter the mixed picture gets; see ``augmentation.color_jitter``.
        jitter_probability: How often the mixed picture's colours are changed.
        jitter_strength: How strongly.
        blur_probability: How often it is blurred.
        appearance_probability: How often a source picture's appearance is changed (tone curves, inversion, grey, false
            colour, change by movement); see ``appearance``. The paper has nothing of the kind.
        source_only_fraction: Share of the training, at its start, without pseudo-labels.
        target_loss_weight: Factor on what is learnt from mixed pictures; 0 trains on the source alone.
        loss_denominator: Whether losses are means over all pixels or over those with a label.
        source_regression_weight: Factor of the latent regression on source pictures; 0 switches it off.
        target_regression_weight: The same on mixed pictures.
        regression_norm: Distance of the latent regression.
        regression_pixel_weight: Weight of the target regression: q everywhere (``share``) or q on pseudo-labels and 1
            on pasted true labels (``pixel``).
        rare_class_sampling: Source pictures with rare classes are drawn more often.
        rare_class_temperature: Small = almost only the rarest classes.
        rare_class_min_pixels: Pixels of a class that a source picture must exceed to be drawn for it.
        rare_class_min_crop_pixels: Pixels of it that the crop must exceed, for at most ten redraws.
        learning_rate: Of the pretrained UNet.
        new_layer_learning_rate: Of the layers that start at random (prompt, projections, head).
        weight_decay: Of everything but biases and normalisation layers.
        betas: AdamW's.
        clip_norm: Largest L2 norm of the gradient.
        warmup_fraction: Share of the steps over which the rate rises linearly to its full value.
        warmup_start: Share of the rate at the first step.
        drops: Shares of the training after which the rate falls to a tenth.
        head_dropout: Probability that training drops a channel before the classifier.
        train_output_layers: The UNet's ``conv_norm_out`` and ``conv_out`` learn too.
        deployed_weights: Whose weights the model directory gets.
    """

    noise_start: int = 60
    noise_start_spread: int = 0
    noise_end_step: int | None = None
    noise_end_fraction: float = 0.5
    pseudo_labels_on_invalid: bool = False
    confidence_threshold: float = 0.968
    ema_limit: float = 0.999
    ema_unet: bool = False
    ema_batch_norm: bool = True
    teacher_dropout: bool = False
    teacher_batch_statistics: bool = False
    mix_classes_from: Literal["sample", "batch"] = "sample"
    mix_ignored: bool = False
    color_jitter: ColorJitterKind = "standard"
    jitter_probability: float = 0.8
    jitter_strength: float = 0.2
    blur_probability: float = 0.5
    appearance_probability: float = 0.5
    source_only_fraction: float = 0.15
    target_loss_weight: float = 1.0
    loss_denominator: Denominator = "valid"
    source_regression_weight: float = 1.0
    target_regression_weight: float = 1.0
    regression_norm: Literal["l1", "l2"] = "l1"
    regression_pixel_weight: Literal["share", "pixel"] = "pixel"
    rare_class_sampling: bool = True
    rare_class_temperature: float = 0.01
    rare_class_min_pixels: int = 3000
    rare_class_min_crop_pixels: int = 1500
    learning_rate: float = 5e-6
    new_layer_learning_rate: float = 5e-5
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0
    warmup_fraction: float = 0.03
    warmup_start: float = 0.067
    drops: tuple[float, ...] = (0.88888, 0.96296)
    head_dropout: float = 0.1
    train_output_layers: bool = False
    deployed_weights: Literal["student", "teacher"] = "student"

    def __post_init__(self) -> None:
        for name in _SHARES:
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "0..1")
        for name in ("noise_start", "noise_start_spread", "rare_class_min_pixels", "rare_class_min_crop_pixels"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("target_loss_weight", "source_regression_weight", "target_regression_weight", "weight_decay"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("learning_rate", "new_layer_learning_rate", "clip_norm", "rare_class_temperature"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "a number above 0")
        _require(self.noise_start + self.noise_start_spread < 1000, "noise_start", self.noise_start, "below 1000")

    def first_adapting_step(self, max_steps: int) -> int:
        """Number of steps, at the start, without pseudo-labels."""
        return math.ceil(self.source_only_fraction * max_steps)

    def noise_end(self, max_steps: int) -> int:
        """Step at which the noise on the teacher's latents has gone, counted from the training's first."""
        first = self.first_adapting_step(max_steps)
        if self.noise_end_step is not None:
            return first + self.noise_end_step
        return first + round(self.noise_end_fraction * (max_steps - first))

    def adapts(self, step: int, max_steps: int) -> bool:
        """Whether pseudo-labels are used at ``step``."""
        return self.target_loss_weight > 0 and step >= self.first_adapting_step(max_steps)


def _require(good: bool, name: str, value: object, expected: str) -> None:
    if not good:
        raise ConfigError(f"method.{name} cannot be used", got=value, expected=expected)


RECIPES: dict[RecipeName, Mapping[str, Any]] = {
    "madm": {},
    "reference": {
        "noise_start_spread": 1,
        "noise_end_step": 5000,
        "pseudo_labels_on_invalid": True,
        "ema_batch_norm": False,
        "teacher_dropout": True,
        "teacher_batch_statistics": True,
        "mix_classes_from": "batch",
        "mix_ignored": True,
        "color_jitter": "kornia060",
        "appearance_probability": 0.0,
        "source_only_fraction": 0.0,
        "loss_denominator": "all",
        "regression_pixel_weight": "share",
        "new_layer_learning_rate": 5e-6,
        "clip_norm": 0.01,
        "warmup_fraction": 500 / 184375,
    },
}
"""What each recipe changes of :class:`Method`'s defaults. The reference's values are those of its depth task; the files
in config/train set the numbers in which the other two tasks differ."""


def method_of(recipe: RecipeName, changes: Mapping[str, Any]) -> Method:
    """A recipe with some switches changed.

    Raises:
        ConfigError: A switch is unknown (the nearest is named) or its value cannot be used.
    """
    return from_mapping(Method, {**RECIPES[recipe], **changes}, where="the section 'method'")
