import numpy as np

from madm_core.labels import MADM11
from madm_core.pretraining.captions import caption
from madm_core.pretraining.styles import STYLES
from madm_core.streetworld import CONDITIONS


def labels_with(*names):
    labels = np.full((50, 100), MADM11.names.index("road"), np.uint8)
    for row, name in enumerate(names):
        labels[row] = MADM11.names.index(name)
    return labels


def test_names_style_light_and_things():
    assert caption(labels_with("car", "person"), "negative", "night") == "negative, night street, people, cars"


def test_what_is_too_small_to_notice_is_not_named():
    labels = labels_with()
    labels[0, :5] = MADM11.names.index("car")
    assert caption(labels, "photo", "day") == "photo, day street"


def test_every_caption_fits_a_prompt_of_single_bytes():
    labels = labels_with("person", "car", "traffic sign", "vegetation", "fence", "wall")
    for style in STYLES:
        for conditions in CONDITIONS:
            assert len(caption(labels, style, conditions)) <= 75
