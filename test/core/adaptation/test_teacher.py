from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from madm_core.adaptation.teacher import ema_decay, update_average


def test_updates_equal_the_reference(golden):
    numbers = np.load(golden / "ema.npz")
    student, teacher = nn.Linear(3, 2), nn.Linear(3, 2)
    for module, weight, bias in ((student, "student_w", "student_b"), (teacher, "teacher_w0", "teacher_b0")):
        module.load_state_dict({"weight": torch.from_numpy(numbers[weight]), "bias": torch.from_numpy(numbers[bias])})
    for step in (1, 2, 10, 998, 999, 1000, 5000):
        decay = ema_decay(step)
        assert decay == numbers[f"alpha_iter{step}"]
        update_average(teacher, student, decay, buffers=False)
        expected = torch.from_numpy(numbers[f"teacher_w_after_iter{step}"])
        torch.testing.assert_close(teacher.weight.detach(), expected, rtol=1e-6, atol=1e-6)


def test_running_statistics_follow_only_when_asked():
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    teacher = copy.deepcopy(student)
    student(torch.randn(4, 1, 3, 3) + 5)
    before = teacher[1].running_mean.clone()
    update_average(teacher, student, 0.5, buffers=False)
    assert torch.equal(teacher[1].running_mean, before)
    update_average(teacher, student, 0.5, buffers=True)
    torch.testing.assert_close(teacher[1].running_mean, 0.5 * before + 0.5 * student[1].running_mean)
    assert teacher[1].num_batches_tracked == 1
