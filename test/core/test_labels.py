import numpy as np
import pytest

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.labels import (
    CITYSCAPES19,
    CITYSCAPES19_TO_MADM9,
    CITYSCAPES19_TO_MADM11,
    CITYSCAPES_IDS_TO_TRAIN_IDS,
    DELIVER_TO_MADM11,
    FMB_TO_MADM9,
    IGNORE,
    MADM9,
    MADM11,
    LabelMap,
    LabelSet,
)


def test_sizes_and_order():
    assert (len(MADM11), len(MADM9), len(CITYSCAPES19)) == (11, 9, 19)
    assert MADM11.names[5] == "road" and MADM11.colors[10] == (250, 170, 30)
    assert MADM9.names == tuple(name for name in MADM11.names if name not in ("fence", "wall"))
    assert MADM11.ids == tuple(range(11))


@pytest.mark.parametrize("name", ["madm11", "madm9", "cityscapes19"])
def test_named_and_dict_round_trip(name):
    label_set = LabelSet.named(name)
    assert LabelSet.from_dict(label_set.to_dict()) == label_set


@pytest.mark.parametrize(
    ("class_id", "name"),
    [(0, "sky"), (8, "traffic sign"), (9, "class 9, which has no name"), (-1, "class -1, which has no name")],
)
def test_every_id_has_something_to_call_it_by(class_id, name):
    assert MADM9.name_of(class_id) == name


def test_unknown_name_says_what_exists():
    with pytest.raises(ConfigError, match="madm11, madm9 or cityscapes19"):
        LabelSet.named("madm12")


def test_colorize_and_back():
    labels = np.array([[0, 5, 10], [IGNORE, 3, 200]], np.uint8)
    painted = MADM11.colorize(labels)
    assert painted.dtype == np.uint8 and tuple(painted[0, 1]) == (128, 64, 128)
    assert not painted[1, 0].any()
    back = MADM11.labels_from_colors(painted)
    assert back.tolist() == [[0, 5, 10], [IGNORE, 3, IGNORE]]


def test_labels_from_colors_with_tolerance_takes_the_nearest():
    image = np.array([[[128, 66, 126], [150, 153, 153], [171, 153, 153]]], np.uint8)  # pole and fence are 37 apart
    assert MADM11.labels_from_colors(image).tolist() == [[IGNORE, IGNORE, IGNORE]]
    assert MADM11.labels_from_colors(image, tolerance=20).tolist() == [[5, 4, 4]]


def test_colorize_refuses_other_types():
    with pytest.raises(InvalidInputError, match="expected uint8"):
        MADM11.colorize(np.zeros((2, 2), np.int64))
    with pytest.raises(InvalidInputError, match="RGB"):
        MADM11.labels_from_colors(np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(
    ("names", "colors", "reason"),
    [
        (("a", "b"), ((1, 1, 1),), "2 names but 1 colours"),
        (("a", "a"), ((1, 1, 1), (2, 2, 2)), "occurs twice"),
        (("a", "b"), ((1, 1, 1), (1, 1, 1)), "colour that occurs twice"),
        (("a",), ((0, 0, 0),), "black"),
        (("a",), ((1, 1, 300),), "0..255"),
        ((), (), "0 classes"),
    ],
)
def test_unusable_sets_are_refused(names, colors, reason):
    with pytest.raises(ConfigError, match=reason):
        LabelSet("mine", names, colors)


@pytest.mark.parametrize("fields", [{}, {"name": "x", "names": ["a"], "colors": [[1, 2]]}, {"name": "x", "names": 3}])
def test_malformed_dict_is_refused(fields):
    with pytest.raises(ConfigError, match="label set"):
        LabelSet.from_dict(fields)


@pytest.mark.parametrize(
    ("key", "label_map", "offset"),
    [
        ("depth_11_source_convert", CITYSCAPES19_TO_MADM11, 0),
        ("event_11_source_convert", CITYSCAPES19_TO_MADM11, 0),
        ("infrared_9_source_convert", CITYSCAPES19_TO_MADM9, 0),
        ("depth_11_test_convert", DELIVER_TO_MADM11, 1),  # the stored files hold class + 1
        ("infrared_9_test_convert", FMB_TO_MADM9, 0),
    ],
)
def test_tables_agree_with_the_reference(golden, key, label_map, offset):
    old, new = np.load(golden / "dataset.npz")[key].T
    assert len(old) >= 15
    assert label_map.apply((old + offset).astype(np.uint8)).tolist() == new.tolist()


def test_deliver_wraps_zero_and_keeps_ignore():
    assert DELIVER_TO_MADM11.apply(np.array([0, 255], np.uint8)).tolist() == [IGNORE, IGNORE]


def test_cityscapes_ids():
    assert CITYSCAPES_IDS_TO_TRAIN_IDS.apply(np.array([7, 33, 0, 29], np.uint8)).tolist() == [0, 18, 255, 255]


def test_then_composes():
    both = CITYSCAPES_IDS_TO_TRAIN_IDS.then(CITYSCAPES19_TO_MADM11)
    assert both.apply(np.array([7, 23, 26, 0], np.uint8)).tolist() == [5, 0, 8, 255]


def test_label_map_refuses_ids_out_of_range():
    with pytest.raises(ConfigError, match=r"0\.\.255"):
        LabelMap.from_pairs({3: 256})
