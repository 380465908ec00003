"""A very small teacher and frames whose content both networks can see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from madm_core.labels import LabelSet
from madm_core.modalities import DepthModality
from madm_core.student.architecture import StudentArchitecture
from madm_core.student.network import StudentNetwork
from madm_core.student.student_directory import save_student_directory

SMALL = StudentArchitecture(
    11, depths=(1, 1, 1, 1), hidden_sizes=(4, 8, 8, 8), attention_heads=(1, 1, 2, 2), decoder_channels=8
)


@pytest.fixture(scope="session")
def small_architecture() -> StudentArchitecture:
    """A few thousand weights."""
    return SMALL


@pytest.fixture
def small_student() -> StudentNetwork:
    """A random student of a few thousand weights, with batch normalisation that has seen something."""
    torch.manual_seed(0)
    student = StudentNetwork.random(SMALL)
    norm = student.model.decode_head.batch_norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    return student.eval()


@pytest.fixture(scope="session")
def teacher_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory; any kind of network can teach, and a small SegFormer is the quickest to run."""
    torch.manual_seed(1)
    network = StudentNetwork.random(SMALL).eval()
    with torch.no_grad():  # sure of what it says, and of something else for each brightness
        greys = torch.linspace(0, 1, 16).reshape(16, 1, 1, 1).expand(16, 3, 32, 64)
        logits = network(greys)
        classifier = network.model.decode_head.classifier
        scale = 4 / logits.std(dim=(0, 2, 3))
        classifier.weight.mul_(scale[:, None, None, None])
        classifier.bias.copy_(-logits.mean(dim=(0, 2, 3)) * scale)
    return save_student_directory(
        tmp_path_factory.mktemp("teacher") / "model",
        network,
        modality=DepthModality(min_depth_m=1.0, max_depth_m=80.0),
        label_set=LabelSet.named("madm11"),
        image_size=(32, 64),
    )


@pytest.fixture(scope="session")
def frames_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight depth frames as 16-bit PNGs with labels."""
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for index in range(8):
        coarse = rng.integers(1000, 60000, (4, 8)).astype(np.uint16)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), cv2.resize(coarse, (64, 32)))
        cv2.imwrite(str(folder / "labels" / f"{index}.png"), rng.integers(0, 11, (32, 64)).astype(np.uint8))
    return folder
