"""A sample's picture and targets show the same part of the frame; samples follow from the seed alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from madm_core.data.frames import FrameFiles, Frames
from madm_core.errors import DataError
from madm_core.segmenter import Segmenter
from madm_core.student.predictions import TeacherPredictions, quantised, restored
from madm_core.student.samples import DistillationSamples, Part, cut_maps, cut_picture


@pytest.fixture(scope="module")
def teacher(teacher_directory):
    return Segmenter.from_pretrained(teacher_directory, device="cpu")


@pytest.fixture
def frames(frames_folder, teacher):
    files = [FrameFiles(path) for path in sorted((frames_folder / "images").iterdir())]
    return Frames("test frames", files, modality=teacher.modality)


@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_and_maps_are_cut_alike(mirrored):
    y, x = np.mgrid[0:64, 0:128]
    ramp = np.stack([x * 2, y * 4, x + y], axis=2).astype(np.uint8)
    part = Part(0.15, 0.3, 0.6, mirrored)
    picture = cut_picture(ramp, part, (64, 128))
    maps = cut_maps(torch.from_numpy(ramp).permute(2, 0, 1).float(), part)
    assert np.abs(picture - maps.numpy()).max() < 1.5
    assert (picture[0, :, 0] > picture[0, :, -1]).all() == mirrored


def test_the_whole_frame_is_left_as_it_is():
    maps = torch.randn(3, 6, 10)
    torch.testing.assert_close(cut_maps(maps, Part(0, 0, 1, False)), maps, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(cut_maps(maps, Part(0, 0, 1, True)), maps.flip(2), rtol=1e-5, atol=1e-5)


def test_parts_stay_inside():
    rng = random.Random(0)
    parts = [Part.draw(rng, crop_scale=(0.5, 1.0), flip=True) for _ in range(500)]
    assert all(part.top >= 0 and part.left >= 0 for part in parts)
    assert all(max(part.top, part.left) + part.scale <= 1 + 1e-9 for part in parts)
    assert 150 < sum(part.mirrored for part in parts) < 350


def test_log_probabilities_survive_their_byte():
    values = torch.log_softmax(torch.randn(7, 5, 5) * 4, 0)
    kept = values > -15
    assert (restored(quantised(values)) - values)[kept].abs().max() <= 1 / 32 + 1e-6


def test_predictions_are_made_once_and_again_for_another_teacher(teacher, frames, tmp_path):
    predictions = TeacherPredictions("one", frames, tmp_path)
    assert predictions.prepare(teacher, progress=False) == 8
    assert TeacherPredictions("one", frames, tmp_path).prepare(teacher, progress=False) == 0
    assert TeacherPredictions("two", frames, tmp_path).folder != predictions.folder
    expected = torch.log_softmax(teacher.logits(frames.image(3)), 0)
    found = predictions.log_probabilities(3)
    assert (found.argmax(0) == expected.argmax(0)).float().mean() > 0.97


def test_a_damaged_prediction_is_an_error_and_made_again(teacher, frames, tmp_path):
    predictions = TeacherPredictions("one", frames, tmp_path)
    predictions.prepare(teacher, progress=False)
    file = sorted(predictions.folder.iterdir())[2]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="teacher"):
        predictions.log_probabilities(2)
    assert predictions.prepare(teacher, progress=False) == 1
    predictions.log_probabilities(2)


def test_samples_repeat_and_visit_every_frame(teacher, frames, tmp_path):
    predictions = TeacherPredictions("one", frames, tmp_path)
    predictions.prepare(teacher, progress=False)

    def samples(seed):
        return DistillationSamples(
            frames, predictions, image_size=(32, 64), seed=seed, crop_scale=(1.0, 1.0), flip=False
        )

    first, again, other = samples(1), samples(1), samples(2)
    assert all(torch.equal(first[n].image, again[n].image) for n in (5, 0, 17))
    assert any(not torch.equal(first[n].image, other[n].image) for n in range(8))
    assert len({first[n].image.numpy().tobytes() for n in range(8)}) == 8


def test_an_unreadable_frame_is_left_out(teacher, frames, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    mixed = Frames("mixed", [*frames.files[:2], FrameFiles(broken)], modality=frames.modality)
    predictions = TeacherPredictions("one", mixed, tmp_path)
    predictions.prepare(teacher, progress=False)
    assert predictions.unusable == {2}
    samples = DistillationSamples(mixed, predictions, image_size=(32, 64), seed=0, crop_scale=(1.0, 1.0), flip=False)
    assert len({samples[n].image.numpy().tobytes() for n in range(6)}) == 2
    nothing = Frames("nothing", [FrameFiles(broken)], modality=frames.modality)
    with pytest.raises(DataError, match="no frame"):
        TeacherPredictions("one", nothing, tmp_path).prepare(teacher, progress=False)
