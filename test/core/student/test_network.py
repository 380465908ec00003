"""The student computes what transformers' SegFormer computes, and its deployed form the same again."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from madm_core.errors import ConfigError, DeviceError
from madm_core.labels import LabelSet
from madm_core.modalities import DepthModality
from madm_core.segmenter import Segmenter
from madm_core.student.architecture import StudentArchitecture


def published_forward(student, images):
    return student.model(pixel_values=(images - student.mean) / student.deviation).logits


@torch.no_grad()
def test_the_cheaper_order_of_the_head_is_the_same_function(small_student):
    images = torch.rand(2, 3, 64, 96)
    expected = published_forward(small_student, images)
    assert expected.shape == (2, 11, 16, 24)
    torch.testing.assert_close(small_student(images), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_deployed_form_is_the_same_at_the_images_size(small_student):
    images = torch.rand(2, 3, 64, 96)
    expected = interpolate(published_forward(small_student, images), (64, 96), mode="bilinear", align_corners=False)
    deployment = copy.deepcopy(small_student).deploy("cpu", "fp32")
    torch.testing.assert_close(deployment.run(images), expected, rtol=1e-5, atol=1e-5)
    assert (deployment.device.type, deployment.precision, deployment.runtime) == ("cpu", "fp32", "PyTorch")
    assert not any(module.training for module in deployment.run.train().modules())
    half = copy.deepcopy(small_student).deploy("cpu", "bf16").run(images)
    assert half.dtype == torch.bfloat16
    assert (half.argmax(1) == expected.argmax(1)).float().mean() > 0.95


def test_gradients_reach_every_weight(small_student):
    small_student.train()
    small_student(torch.rand(2, 3, 32, 64)).square().sum().backward()
    without = [name for name, parameter in small_student.named_parameters() if parameter.grad is None]
    assert without == []


def test_a_segmenter_runs_it_on_any_size(small_student):
    segmenter = Segmenter(
        small_student, DepthModality(), LabelSet.named("madm11"), (64, 96), device="cpu", resize="keep_aspect"
    )
    prediction = segmenter.segment(np.random.default_rng(0).random((50, 120, 3), np.float32))
    assert prediction.labels.shape == (50, 120) and prediction.labels.max() < 11
    assert "0.0 M parameters" in segmenter.description


def test_precisions_that_a_cpu_lacks_are_refused(small_student):
    with pytest.raises(DeviceError, match="fp16"):
        small_student.deploy("cpu", "fp16")


def test_published_sizes():
    b0 = StudentArchitecture.of_size("b0", 19)
    assert StudentArchitecture.of_config(b0.to_config()) == b0
    assert b0.hidden_sizes == (32, 64, 160, 256) and b0.decoder_channels == 256
    assert StudentArchitecture.of_size("b0-half", 11).hidden_sizes == (16, 32, 80, 128)


@pytest.mark.parametrize("fields", [{"hidden_sizes": (4, 8, 9, 8)}, {"depths": (0, 1, 1, 1)}])
def test_impossible_architectures_are_refused(fields):
    with pytest.raises(ConfigError, match="architecture"):
        StudentArchitecture(11, attention_heads=(1, 1, 2, 2), **{"hidden_sizes": (4, 8, 8, 8), **fields})
