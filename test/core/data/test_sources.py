from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.data import KINDS
from madm_core.data.sources import open_frames
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet
from madm_core.modalities import modality_named


def opened(tmp_path, fields, modality=None, label_set="madm11"):
    return open_frames(
        fields,
        label_set=LabelSet.named(label_set),
        modality=modality,
        cache=tmp_path / "cache",
        where="target",
        progress=False,
    )


def test_a_folder(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "1.png")
    assert len(opened(tmp_path, {"kind": "folder", "images": str(tmp_path)})) == 1


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"folder", "bag"}))
def test_every_published_kind_says_what_is_missing(tmp_path, kind):
    fields = {"kind": kind, "root": str(tmp_path / "nowhere"), **({"sensor": "depth"} if kind == "streetworld" else {})}
    modality = modality_named("event" if kind == "dsec" else "depth", {})
    with pytest.raises(DataError, match="nowhere"):
        opened(tmp_path, fields, modality, label_set="madm9" if kind == "fmb" else "madm11")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "cityscape"}, "'target' has an unknown kind.*[Dd]id you mean 'cityscapes'"),
        ({}, "unknown kind"),
        ({"kind": "folder", "image": "x"}, "'target'.*'images'"),
        ({"kind": "bag", "bags": ["x"], "topic": "/t"}, "'target' cannot be a bag"),
    ],
)
def test_mistakes_name_the_section(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        opened(tmp_path, fields)


def test_a_missing_bag(tmp_path):
    fields = {"kind": "bag", "bags": [str(tmp_path / "nowhere")], "topic": "/t"}
    with pytest.raises(DataError, match="nowhere"):
        opened(tmp_path, fields, modality_named("thermal", {}))
