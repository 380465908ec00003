from __future__ import annotations

import pickle
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from madm_core.data.frames import FrameFiles, Frames
from madm_core.data.rare_class import RareClassSampler
from madm_core.data.samples import SampleNumbers, TrainingSamples
from madm_core.errors import DataError
from madm_core.labels import LabelMap
from madm_core.modalities import DepthModality


@pytest.fixture
def frames(tmp_path):
    """Source frames 0..3 show their number as colour and as label, target frames theirs as colour."""
    sources, targets = [], []
    for index in range(4):
        Image.fromarray(np.full((12, 16, 3), index, np.uint8)).save(tmp_path / f"s{index}.png")
        Image.fromarray(np.full((12, 16), index, np.uint8)).save(tmp_path / f"l{index}.png")
        sources.append(FrameFiles(tmp_path / f"s{index}.png", tmp_path / f"l{index}.png"))
    for index in range(3):
        Image.fromarray(np.full((9, 9), 100 + index, np.uint8)).save(tmp_path / f"t{index}.png")
        targets.append(FrameFiles(tmp_path / f"t{index}.png"))
    source = Frames("s", sources, label_map=LabelMap.from_pairs({0: 5, 1: 6, 2: 7, 3: 8}), resize=(12, 16))
    return source, Frames("t", targets)


def make(frames, **changes):
    return TrainingSamples(*frames, **{"image_size": (8, 8), "seed": 1, **changes})


def test_a_sample_is_a_pair_of_crops(frames):
    sample = make(frames)[0]
    assert sample.source_image.shape == sample.target_image.shape == (3, 8, 8)
    assert sample.source_labels.shape == (1, 8, 8)
    assert sample.source_labels.unique().item() == sample.source_image.unique().item() + 5


def test_every_pass_shows_every_frame_once_in_a_new_order(frames):
    samples = make(frames)
    targets = [samples[number].target_image.unique().item() - 100 for number in range(30)]
    passes = [tuple(targets[start : start + 3]) for start in range(0, 30, 3)]
    assert all(sorted(order) == [0, 1, 2] for order in passes)
    assert len(set(passes)) > 1


def test_a_sample_depends_on_seed_and_number_alone(frames):
    forwards, backwards = make(frames), make(frames)
    numbers = list(range(12))
    first = {number: forwards[number] for number in numbers}
    for number in reversed(numbers):
        for one, other in zip(first[number], backwards[number], strict=True):
            assert torch.equal(one, other)
    copied = pickle.loads(pickle.dumps(forwards))  # what a worker process gets
    assert torch.equal(copied[7].source_image, first[7].source_image)
    others = make(frames, seed=2)
    assert any(not torch.equal(others[n].source_image, first[n].source_image) for n in numbers)


def test_rare_classes_are_drawn_more_often(frames):
    sampler = RareClassSampler.from_counts([{0: 900}, {0: 900}, {0: 900}, {3: 50}], temperature=0.5, min_pixels=10)
    samples = make(frames, rare_classes=sampler)
    drawn = Counter(samples[number].source_image.unique().item() for number in range(60))
    assert drawn[3] > 30


def test_a_broken_frame_is_replaced(frames, caplog):
    frames[1].files[1].image.write_bytes(b"broken")
    samples = make(frames)
    shown = {samples[number].target_image.unique().item() for number in range(12)}
    assert shown == {100, 102}
    assert "replaced" in caplog.text


def test_all_frames_broken_is_an_error(frames):
    for frame in frames[1].files:
        frame.image.write_bytes(b"broken")
    with pytest.raises(DataError, match="too many unusable frames in t.*11 in a row.*check_data"):
        make(frames)[0]


def test_processes_share_the_samples_of_a_step():
    shares = [[*SampleNumbers(3, 2, 2, process, 2)] for process in range(2)]
    assert shares == [[[12, 13], [16, 17]], [[14, 15], [18, 19]]]
    assert [*SampleNumbers(6, 4, 2, 0, 1)] == [[12, 13], [14, 15], [16, 17], [18, 19]]


def test_pixels_without_a_measurement_are_cropped_with_the_picture(frames, tmp_path):
    depth = np.full((6, 8), 2000, np.uint16)
    depth[:, :4] = 0  # the left half of the frame: no return
    cv2.imwrite(str(tmp_path / "depth.png"), depth)
    target = Frames("d", [FrameFiles(tmp_path / "depth.png")], resize=(12, 16), modality=DepthModality())
    mirrored = set()
    for number in range(12):
        sample = make((frames[0], target), image_size=(12, 16))[number]
        assert (sample.target_valid.dtype, sample.target_valid.shape) == (torch.bool, (1, 12, 16))
        halves = sample.target_valid[0, :, :8], sample.target_valid[0, :, 8:]
        assert {half.float().mean().item() for half in halves} == {0, 1}
        mirrored.add(halves[0].all().item())
    assert mirrored == {False, True}
    assert make(frames)[0].target_valid.all()
