import numpy as np

from madm_core.pretraining.pictures import Pictures, load_pictures


def test_rendered_once_and_read_back(tmp_path):
    file = tmp_path / "work" / "pictures.npz"
    seen = []
    first = load_pictures(file, count=4, size=(64, 64), progress=seen.append)
    assert seen == [1, 2, 3, 4]
    assert first.images.shape == (4, 64, 64, 3)
    assert first.labels.shape == (4, 64, 64)
    assert first.labels.max() < 11
    assert len(first) == len(first.conditions) == 4
    again = load_pictures(file, count=4, size=(64, 64), progress=seen.append)
    assert len(seen) == 4
    assert np.array_equal(again.images, first.images)
    assert again.conditions == first.conditions


def test_same_seed_same_pictures_other_seed_others(tmp_path):
    one, same, other = (
        load_pictures(tmp_path / f"{name}.npz", count=1, size=(64, 64), seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert np.array_equal(one.images, same.images)
    assert not np.array_equal(one.images, other.images)


def test_reduced_pictures_show_the_same_and_labels_are_never_blended():
    labels = np.repeat(np.repeat(np.array([[3, 9], [10, 255]], np.uint8), 4, 0), 4, 1)[None]
    images = np.where(labels[..., None] == 3, 200, 100).astype(np.uint8).repeat(3, -1)
    images[0, 0, 1] = 100  # a quarter of a block
    full = Pictures(images, labels, ("day",))
    assert full.reduced(1) is full
    half = full.reduced(2)
    assert half.images.shape == (1, 4, 4, 3)
    assert half.images[0, :2, :2, 0].tolist() == [[175, 200], [200, 200]]
    assert half.labels[0].tolist() == [[3, 3, 9, 9]] * 2 + [[10, 10, 255, 255]] * 2
    assert half.conditions == full.conditions
