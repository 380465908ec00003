from __future__ import annotations

import json

import pytest
import torch

from madm_core.adaptation.health import Health
from madm_core.labels import LabelSet

MADM11 = LabelSet.named("madm11")


def feed(health, classes, steps):
    labels = torch.tensor(classes).repeat(16)[: 16 * len(classes)].reshape(1, 16, -1)
    for _ in range(steps):
        numbers = health.update(labels, torch.full(labels.shape, 0.75))
    return numbers


def test_collapse_is_reported_once():
    health = Health(11)
    assert feed(health, list(range(11)), 150)["classes_seen"] == 11
    assert health.warning(MADM11) is None
    numbers = feed(health, [5, 0], 600)
    assert numbers["classes_seen"] == 2
    assert numbers["mean_confidence"] == 0.75
    assert numbers["class_drift"] == pytest.approx(9 / 11, abs=0.01)
    assert "collapsed to 2 of 11 classes (sky, road)" in health.warning(MADM11)
    assert health.warning(MADM11) is None


def test_nothing_is_said_in_the_first_steps():
    health = Health(11)
    feed(health, [5], 50)
    assert health.warning(MADM11) is None


def test_state_survives_json():
    health = Health(11)
    feed(health, [1, 2, 3], 120)
    copy = Health.from_state(json.loads(json.dumps(health.state())))
    assert feed(copy, [4], 3) == feed(health, [4], 3)


def test_pixels_without_a_pseudo_label_do_not_count():
    health = Health(11)
    labels, confidence = torch.tensor([[[3, 255]]]), torch.tensor([[[0.75, 0.0]]])
    numbers = health.update(labels, confidence)
    assert (numbers["mean_confidence"], numbers["classes_seen"]) == (0.75, 1)
    assert Health(11).update(torch.full((1, 1, 2), 255), confidence)["mean_confidence"] == 0
