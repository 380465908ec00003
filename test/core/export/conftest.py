"""A network that is small enough to be exported in every format."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from madm_core.labels import LabelSet
from madm_core.modalities import modality_named
from madm_core.modalities.input_statistics import InputStatistics
from madm_core.model.network import Deployment
from madm_core.model_directory import LoadedModel


class SmallNetwork:
    """Has the interface of ``SegmentationNetwork``."""

    classes = 11
    fixed_size = False
    parameter_count = 4 * 3 * 9 + 4 + 11 * 4 + 11

    def deploy(self, device: str, precision: str) -> Deployment:
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 11, 1))
        return Deployment(layers.eval().requires_grad_(False), torch.device("cpu"), "fp32")


@pytest.fixture
def small_model() -> LoadedModel:
    """A model of :class:`SmallNetwork` for 16x24 pixels."""
    description = {"provenance": {"recipe": "none"}}
    label_set = LabelSet.named("madm11")
    statistics = InputStatistics.of([{"picture_mean": 0.5, "picture_contrast": 0.25, "valid_share": 1.0}])
    return LoadedModel(
        SmallNetwork(), modality_named("depth"), label_set, (16, 24), "segformer", description, statistics
    )


@pytest.fixture
def small_network() -> Callable[[], nn.Module]:
    """The PyTorch network in it."""
    return lambda: SmallNetwork().deploy("cpu", "fp32").run  # type: ignore[return-value]


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """A trained model of the full architecture."""
    return Path(__file__).resolve().parents[3] / "demo" / "models" / "street-depth"
