import numpy as np

from madm_core.pretraining.pictures import load_pictures


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
