"""The golden network: student and teacher in the state from which the reference's numbers start."""

from __future__ import annotations

import functools
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import AutoencoderKL, UNet2DConditionModel

from madm_core.adaptation.method import Method, method_of
from madm_core.adaptation.step import AdaptationModel
from madm_core.adaptation.tiny_run import tiny_fields, write_tiny_data
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.config import from_mapping
from madm_core.labels import LabelSet
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import StableDiffusionBase

_EXTRACTOR = "backbone.feature_extractor."
_RENAMES = (
    (rf"^{_EXTRACTOR}ldm_extractor\.(unet|vae)\.", r"backbone.\1."),
    (rf"^{_EXTRACTOR}ldm_extractor\.shared_noise$", "backbone.shared_noise.noise"),
    (rf"^{_EXTRACTOR}ldm_extractor\.uncond_inputs$", "condition.unconditional"),
    (rf"^{_EXTRACTOR}(?:ema_)?clip_project_(?:rgb|others)\.", "condition."),
    (r"condition\.prompt_embed$", "condition.prompt"),
    (r"condition\.alpha_cond_prompt$", "condition.prompt_gate"),
    (r"condition\.alpha_uncond_prompt$", "condition.unconditional_gate"),
    (r"condition\.alpha_cond_time$", "condition.time_gate"),
    (r"condition\.time_embed$", "condition.time"),
    (r"^backbone\.(?:ema_)?feature_projections\.(\d)\.0\.", r"projections.scales.\1."),
    (r"(projections.*)\.conv(\d)\.norm\.", r"\1.norm\2."),
    (r"(projections.*)\.shortcut\.norm\.", r"\1.shortcut_norm."),
    (r"^(?:ema_)?sem_seg_head\.", "head."),
    (r"head\.conv_seg\.", "head.classifier."),
    (r"head\.embed_layers\.(\d)\.proj\.", r"head.embeddings.\1."),
    (r"head\.fuse_layer\.aspp_modules\.0\.", "head.point_branch."),
    (r"head\.fuse_layer\.aspp_modules\.(\d)\.", lambda match: f"head.dilated_branches.{int(match[1]) - 1}."),
    (r"\.depthwise_conv\.", ".0."),
    (r"\.pointwise_conv\.", ".1."),
    (r"head\.fuse_layer\.bottleneck\.", "head.fusion."),
    (r"(head.*)\.bn\.", r"\1.norm."),
)


def our_name(reference_name: str) -> str:
    """The reference's name of a tensor -> ours; the teacher's tensors start with ``teacher.``, the student's do not."""
    name = reference_name
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return f"teacher.{name}" if "ema_" in reference_name else name


@pytest.fixture(scope="session")
def translate():
    """:func:`our_name`."""
    return our_name


@pytest.fixture(scope="session")
def golden_state(golden: Path) -> dict[str, torch.Tensor]:
    """The complete starting state, by our names."""
    with np.load(golden / "model_tiny_state.npz") as stored:
        return {
            our_name(name): torch.from_numpy(np.asarray(stored[name])).to(
                torch.int64 if stored[name].dtype == np.int64 else torch.float32
            )
            for name in stored.files
            if "text_encoder" not in name
        }


@pytest.fixture(scope="session")
def make_golden_model(golden: Path, golden_state):
    """Makes ``AdaptationModel``s in the starting state."""

    def read(folder: str) -> dict:
        return json.loads((golden / "tiny_sd" / folder).read_text())

    def make(
        image_size: tuple[int, int] = (128, 128),
        *,
        method: Method | None = None,
        label_set: str = "madm11",
        replaced: dict[str, torch.Tensor] | None = None,
    ) -> AdaptationModel:
        state = {**golden_state, **(replaced or {})}
        base = StableDiffusionBase(
            "golden",
            UNet2DConditionModel.from_config(read("unet/config.json")),
            AutoencoderKL.from_config(read("vae/config.json")),
            read("scheduler/scheduler_config.json"),
        )
        labels = LabelSet.named(label_set)
        network = MadmNetwork.from_base(
            base,
            MadmArchitecture(len(labels), (32, 64, 64, 64), 32, 16, 16, dropout=0.0),
            image_size,
            unconditional=state["condition.unconditional"],
        )
        student = {name: tensor for name, tensor in state.items() if not name.startswith("teacher.")}
        if image_size != (128, 128):
            del student["backbone.shared_noise.noise"]
        missing, unexpected = network.load_state_dict(student, strict=False)
        assert not unexpected, unexpected
        assert set(missing) <= {"backbone.shared_noise.noise"}, missing
        model = AdaptationModel(network, method or method_of("reference", {}), labels)
        teacher = {
            name.removeprefix("teacher."): tensor for name, tensor in state.items() if name.startswith("teacher.")
        }
        missing, unexpected = model.teacher.load_state_dict(teacher, strict=False)
        assert not unexpected, unexpected
        assert all(name == "condition.unconditional" or name.startswith("unet.") for name in missing), missing
        return model.train()

    return make


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Networks this small gain nothing from threads, and on a busy machine threads that wait for each other make them
    some twenty times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """A folder with a tiny base, 6 labelled pictures and 5 grey frames with labels."""
    root = tmp_path_factory.mktemp("tiny_data")
    write_tiny_data(root)
    return root


@pytest.fixture(scope="session")
def make_tiny_config(tiny_data):
    """Makes configurations of a run of some steps in a folder; keyword arguments change keys."""

    def make(folder: Path, **changes) -> TrainingConfig:
        return from_mapping(TrainingConfig, {**tiny_fields(tiny_data, folder / "run"), **changes})

    return make


@pytest.fixture
def tiny_config(make_tiny_config, tmp_path):
    """As ``make_tiny_config``, in the test's own folder."""
    return functools.partial(make_tiny_config, tmp_path)


@pytest.fixture
def fresh_engine():
    """accelerate keeps one state a process; tests want different precisions."""

    def reset() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)

    reset()
    logging.getLogger("madm_core").setLevel(logging.INFO)
    yield
    reset()
