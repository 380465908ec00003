from __future__ import annotations

import random

import numpy as np
import pytest

from madm_core.data.crops import random_crop, resize_image, resize_labels, three_channels
from madm_core.data.rare_class import crop_until_present
from madm_core.errors import DataError
from madm_core.labels import CITYSCAPES19_TO_MADM9, CITYSCAPES19_TO_MADM11, DELIVER_TO_MADM11, FMB_TO_MADM9

TASKS = {
    "depth_11": (CITYSCAPES19_TO_MADM11, "tgt_rgba", (44, 44), "lab_deliver_rgba", DELIVER_TO_MADM11),
    "infrared_9": (CITYSCAPES19_TO_MADM9, "tgt_gray", (32, 43), "lab_fmb", FMB_TO_MADM9),
    "event_11": (CITYSCAPES19_TO_MADM11, "tgt_gray", (32, 48), "lab_event", None),
}
SOURCE_SIZE, CROP = (32, 64), (32, 32)


@pytest.fixture(scope="module")
def numbers(golden):
    return dict(np.load(golden / "dataset.npz"))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("draw", ["plain_seed1", "plain_seed2", "plain_seed3", "rcs_seed4", "rcs_seed5"])
def test_training_sample_equals_the_reference(numbers, task, draw):
    remap, target_name, target_size, _, _ = TASKS[task]
    seed = int(draw[-1])
    choices = numbers[f"{task}_{draw}__choices"]
    index = int(choices[1].startswith("im1")) if len(choices) else seed % 2
    source = resize_image(numbers["src_rgb"][index], SOURCE_SIZE)
    labels = resize_labels(numbers["src_label"][index], SOURCE_SIZE)
    rng = random.Random(seed)
    if len(choices):
        image, labels = crop_until_present(lambda: random_crop(source, labels, CROP, rng), int(choices[0]), 30)
    else:
        image, labels = random_crop(source, labels, CROP, rng)
    target, none = random_crop(resize_image(three_channels(numbers[target_name]), target_size), None, CROP, rng)
    assert none is None
    expected = {
        name: numbers[f"{task}_{draw}__{name}"] for name in ("source_rgb", "source_label", "target_second_modality")
    }
    np.testing.assert_array_equal(image, expected["source_rgb"].transpose(1, 2, 0))
    np.testing.assert_array_equal(remap.apply(labels), expected["source_label"][0])
    np.testing.assert_array_equal(target, expected["target_second_modality"].transpose(1, 2, 0))


@pytest.mark.parametrize("task", TASKS)
def test_test_sample_equals_the_reference(numbers, task):
    _, target_name, _, label_name, remap = TASKS[task]
    image = resize_image(three_channels(numbers[target_name]), CROP)
    np.testing.assert_array_equal(image, numbers[f"{task}_test__image"].transpose(1, 2, 0))
    labels = numbers[label_name]
    labels = resize_labels(np.ascontiguousarray(labels[:, :, 0] if labels.ndim == 3 else labels), CROP)
    labels = remap.apply(labels) if remap else labels
    np.testing.assert_array_equal(labels, numbers[f"{task}_test__label"][0])


def test_image_and_labels_stay_together():
    image = np.arange(20 * 30, dtype=np.int64).reshape(20, 30) % 251
    image = image.astype(np.uint8)
    for seed in range(8):
        crop, labels = random_crop(three_channels(image), image, (7, 9), random.Random(seed))
        assert crop.shape == (7, 9, 3) and np.array_equal(crop[:, :, 1], labels)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4)])
def test_three_channels(shape):
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    result = three_channels(image)
    assert result.shape == (4, 5, 3)
    assert np.array_equal(result[:, :, 0], image.reshape(4, 5, -1)[:, :, 0])


def test_a_frame_that_is_too_small_is_an_error():
    with pytest.raises(DataError, match="got 8x8; expected at least 16x4"):
        random_crop(np.zeros((8, 8, 3), np.uint8), None, (16, 4), random.Random(0))
