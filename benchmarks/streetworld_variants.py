"""The rows of the StreetWorld table: what each training does, as switches on top of a recipe."""

from __future__ import annotations

from typing import Any

from benchmarks.streetworld_experiment import Variant

SOURCE_ALONE = {
    "target_loss_weight": 0.0,
    "source_only_fraction": 1.0,
    "source_regression_weight": 0.0,
    "target_regression_weight": 0.0,
}
SELF_TRAINING = {
    "noise_start": 0,
    "source_regression_weight": 0.0,
    "target_regression_weight": 0.0,
    "confidence_threshold": 0.9,
    "source_only_fraction": 0.5,
}
MADM = {"noise_start": 20, "confidence_threshold": 0.9, "source_only_fraction": 0.5}
_NOISE_OF_REFERENCE = {"noise_start": 50, "noise_end_step": None, "noise_end_fraction": 0.8}

MAIN = {
    "fixed-picture": Variant("no network: each pixel's most frequent class in the source", SOURCE_ALONE, steps=0.0),
    "source-only": Variant("source only", {**SOURCE_ALONE, "appearance_probability": 0.0}),
    "source-appearance": Variant("source only + appearance augmentation", SOURCE_ALONE),
    "self-training": Variant("self-training", {**SELF_TRAINING, "appearance_probability": 0.0}),
    "self-training-appearance": Variant("self-training + appearance augmentation", SELF_TRAINING),
    "reference": Variant(
        "MADM, `recipe: reference`",
        {"noise_end_step": None},
        recipe="reference",
        of_modality={
            "thermal": _NOISE_OF_REFERENCE,
            "event": {**_NOISE_OF_REFERENCE, "source_regression_weight": 20.0, "target_regression_weight": 0.0},
        },
    ),
    "madm": Variant("MADM, `recipe: madm`", MADM),
    "oracle": Variant(
        "supervised on the target's labels", {**SOURCE_ALONE, "appearance_probability": 0.0}, source="target"
    ),
}
DEMO = {
    "madm-long": Variant(
        "MADM, `recipe: madm`, 2.5 times the steps, four fifths of them source only",
        {**MADM, "source_only_fraction": 0.8},
        steps=2.5,
    ),
}
ABLATIONS = {
    "noise-only": Variant(
        "diffusion-based pseudo-labels, no latent regression",
        {**MADM, "source_regression_weight": 0.0, "target_regression_weight": 0.0},
    ),
    "regression-only": Variant("latent regression, no noise", {**MADM, "noise_start": 0}),
    "random-unet": Variant("MADM from an untrained UNet", MADM, base="random"),
    "oracle-random-unet": Variant(
        "supervised on the target's labels, from an untrained UNet",
        {**SOURCE_ALONE, "appearance_probability": 0.0},
        source="target",
        base="random",
    ),
    "photo-base": Variant("MADM from a base pretrained on photos alone", MADM, base="photo"),
    "source-appearance-long": Variant(
        "source only + appearance augmentation, as many seconds as MADM", SOURCE_ALONE, steps=1.8
    ),
    "noise-60": Variant("MADM, noise from 60 instead of 20", {**MADM, "noise_start": 60}),
}
_REFERENCE_VALUES: dict[str, dict[str, Any]] = {
    "teacher-batch-statistics": {"teacher_batch_statistics": True, "ema_batch_norm": False},
    "teacher-dropout": {"teacher_dropout": True},
    "labels-on-invalid": {"pseudo_labels_on_invalid": True},
    "batch-classes": {"mix_classes_from": "batch"},
    "mix-ignored": {"mix_ignored": True},
    "kornia-jitter": {"color_jitter": "kornia060"},
    "all-denominator": {"loss_denominator": "all"},
    "regression-share": {"regression_pixel_weight": "share"},
    "no-warm-up": {"source_only_fraction": 0.0},
    "no-appearance": {"appearance_probability": 0.0},
    "clip-norm": {"clip_norm": 0.01},
    "one-rate": {"new_layer_learning_rate": 5.0e-4},
}
CORRECTIONS = {
    f"madm-{name}": Variant(f"MADM with {', '.join(f'`{key}: {value}`' for key, value in change.items())}",
                            {**MADM, **change}) for name, change in _REFERENCE_VALUES.items()
}  # fmt: skip
VARIANTS = {**MAIN, **DEMO, **ABLATIONS, **CORRECTIONS}
