"""The loss is zero for the teacher's own distribution, and weighs pixels by confidence."""

from __future__ import annotations

import pytest
import torch

from madm_core.student.losses import distillation_loss


def test_the_teachers_own_distribution_costs_nothing():
    logits = torch.randn(2, 5, 8, 8)
    loss = distillation_loss(logits + 3, logits, temperature=2.0, confidence_power=1.0)
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_it_is_the_textbook_divergence_times_the_squared_temperature():
    student, teacher = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.7, 0.2, 0.1])
    maps = [probabilities.log().reshape(1, 3, 1, 1) for probabilities in (student, teacher)]
    expected = (teacher * (teacher / student).log()).sum()
    assert distillation_loss(*maps, temperature=1.0, confidence_power=1.0).item() == pytest.approx(expected.item())
    soft_student, soft_teacher = ((p.sqrt() / p.sqrt().sum()) for p in (student, teacher))
    expected = 4 * (soft_teacher * (soft_teacher / soft_student).log()).sum()
    assert distillation_loss(*maps, temperature=2.0, confidence_power=0.0).item() == pytest.approx(expected.item())


def test_unsure_pixels_count_less():
    teacher = torch.tensor([[9.0, 0.1], [0.0, 0.0]]).reshape(1, 2, 1, 2)  # the first pixel is sure, the second is not
    right_where_sure = torch.tensor([[9.0, -4.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    even = distillation_loss(right_where_sure, teacher, temperature=1.0, confidence_power=0.0)
    weighted = distillation_loss(right_where_sure, teacher, temperature=1.0, confidence_power=4.0)
    assert weighted < even / 3


def test_coarse_students_are_compared_at_the_teachers_resolution():
    student = torch.randn(1, 3, 4, 6, requires_grad=True)
    distillation_loss(student, torch.randn(1, 3, 16, 24), temperature=2.0, confidence_power=1.0).backward()
    assert student.grad is not None and bool((student.grad != 0).all())
