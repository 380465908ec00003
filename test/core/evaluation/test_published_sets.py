from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.errors import ConfigError, DataError
from madm_core.evaluation.published_sets import PUBLISHED, open_test_set
from madm_core.labels import LabelSet
from madm_core.modalities import DepthModality, EventModality, ThermalModality


def opened(kind, *words, modality=None, label_set="madm11", cache="unused"):
    return open_test_set(
        kind,
        words,
        label_set=LabelSet.named(label_set),
        modality=modality or DepthModality(),
        cache=cache,
        progress=False,
    )


def test_the_test_part_is_opened_with_its_labels(tmp_path):
    for split in ("train", "test"):
        for folder, value in (("Infrared", 50), ("Label", 1)):
            (tmp_path / split / folder).mkdir(parents=True)
            Image.fromarray(np.full((4, 4), value, np.uint8)).save(tmp_path / f"{split}/{folder}/00001.png")
    frames = opened("fmb", f"root={tmp_path}", modality=ThermalModality(), label_set="madm9")
    assert frames.labelled and frames.expected_count == 280 and "test" in frames.name
    assert not opened(
        "fmb", f"root={tmp_path}", "split=train", "use_labels=false", modality=ThermalModality(), label_set="madm9"
    ).labelled


def test_dsec_pictures_are_cut_to_the_rows_that_have_labels(tmp_path):
    edges = tmp_path / "test/zurich_city_13_a/edges"
    labels = tmp_path / "test_semantic_segmentation/test/zurich_city_13_a/11classes"
    for folder, height in ((edges, 480), (labels, 440)):
        folder.mkdir(parents=True)
        Image.fromarray(np.full((height, 640), 3, np.uint8)).save(folder / "000000.png")
    frames = opened("dsec", f"root={tmp_path}", "pictures=edges", modality=EventModality())
    image, truth = frames.labelled_image(0)
    assert image.shape[:2] == truth.shape == (440, 640) and frames.expected_count == 2806


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="not for the data set fmb: got a depth model; expected thermal"):
        opened("fmb", f"root={tmp_path}")
    with pytest.raises(ConfigError, match="Did you mean 'split'"):
        opened("deliver", f"root={tmp_path}", "splitt=test")
    with pytest.raises(DataError, match="missing"):
        opened("deliver", f"root={tmp_path}")
    with pytest.raises(DataError, match="not a StreetWorld folder"):
        opened("streetworld", f"root={tmp_path}")


def test_figures_are_those_of_the_authors_readme():
    assert {kind: (figure.mean_iou, figure.released) for kind, figure in PUBLISHED.items()} == {
        "deliver": (None, None), "fmb": (62.23, 61.88), "dsec": (56.31, 56.68),
    }  # fmt: skip
