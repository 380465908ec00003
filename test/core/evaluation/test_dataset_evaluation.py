from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from madm_core.data.folder import FolderConfig, folder_frames
from madm_core.errors import DataError
from madm_core.evaluation.dataset_evaluation import blocks_of, dataset_frame, score_blocks, sequences_in_order
from madm_core.labels import IGNORE, LabelSet
from madm_core.modalities import DepthModality, EncodedImage
from madm_core.segmenter import Prediction

MADM11 = LabelSet.named("madm11")


class StandIn:
    """A segmenter whose labels are the picture's brightness in eleven steps."""

    modality = DepthModality()
    label_set = MADM11
    image_size = (8, 8)

    def segment(self, image) -> Prediction:
        valid = image.valid if isinstance(image, EncodedImage) else None
        pixels = image.image if isinstance(image, EncodedImage) else image.astype(np.float32) / 255
        labels = np.minimum(pixels[:, :, 0] * 11, 10).astype(np.uint8)
        confidence = np.full(labels.shape, 0.7, np.float32)
        if valid is not None:
            labels[~valid], confidence[~valid] = IGNORE, 0
        return Prediction(labels, confidence)

    def logits(self, image, resize=None):
        assert resize == "reference" and image.shape[:2] == self.image_size
        return image

    def prediction(self, logits, size) -> Prediction:
        return StandIn.segment(self, logits)


@pytest.fixture
def frames(tmp_path):
    """70 pictures in the folders a (40) and b (30), all of them one class that the stand-in gets right."""
    for index in range(70):
        for kind, value in (("images", 24 * (index % 10) + 12), ("labels", index % 10)):
            folder = tmp_path / kind / ("a" if index < 40 else "b")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((16, 12), value, np.uint8)).save(folder / f"{index:03d}.png")
    return folder_frames(FolderConfig(tmp_path / "images", tmp_path / "labels"), MADM11, None)


def test_blocks_cover_the_set_and_keep_sequences_apart(frames):
    blocks = blocks_of(frames)
    assert [(block.sequence, len(block.indices)) for block in blocks] == [("a", 32), ("a", 8), ("b", 30)]
    assert [index for block in blocks for index in block.indices] == list(range(70))
    unlabelled = folder_frames(FolderConfig(frames.files[0].image.parent), MADM11, None)
    with pytest.raises(DataError, match="not all of them with labels"):
        blocks_of(unlabelled)


def test_any_sharing_out_gives_the_same_scores(frames):
    blocks = list(enumerate(blocks_of(frames)))
    together, missing = sequences_in_order(
        score_blocks(StandIn(), frames, blocks, ("native", "paper")), blocks_of(frames)
    )
    assert not missing and [scores.name for scores in together] == ["a", "b"]
    parts = [
        part for process in (1, 0) for part in score_blocks(StandIn(), frames, blocks[process::2], ("native", "paper"))
    ]
    apart, _ = sequences_in_order(parts, blocks_of(frames))
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.frames.stamps_ns, other.frames.stamps_ns)
        for protocol in ("native", "paper"):
            np.testing.assert_array_equal(one.matrix(protocol), other.matrix(protocol))
            assert np.trace(one.matrix(protocol)) == one.matrix(protocol).sum() > 0
        assert one.calibration.to_dict() == other.calibration.to_dict()
        assert one.expected == len(one.frames) and not one.interrupted
    assert together[0].matrix("native").sum() == 40 * 16 * 12 and together[0].matrix("paper").sum() == 40 * 64


def test_a_bad_file_is_left_out_and_named(frames):
    frames.files[3].image.write_bytes(b"no picture")
    Image.fromarray(np.full((16, 12), 99, np.uint8)).save(frames.files[50].labels)
    Image.fromarray(np.full((4, 4), 1, np.uint8)).save(frames.files[51].labels)
    blocks = list(enumerate(blocks_of(frames)))
    scores, _ = sequences_in_order(score_blocks(StandIn(), frames, blocks, ("paper",)), blocks_of(frames))
    assert [len(part.frames) for part in scores] == [39, 28]
    assert [part.counts.unusable for part in scores] == [{"file": 1}, {"ids": 1, "file": 1}]
    assert not any(part.interrupted for part in scores)
    assert os.path.basename(frames.files[3].image) in scores[0].warnings[0]
    assert "99" in scores[1].warnings[0] and "differ in size" in scores[1].warnings[1]


def test_an_interruption_keeps_what_there_is(frames):
    asked = iter([False] * 35 + [True] * 99)
    blocks = list(enumerate(blocks_of(frames)))
    done = score_blocks(StandIn(), frames, blocks, ("native",), stop=lambda: next(asked))
    scores, missing = sequences_in_order(done, blocks_of(frames))
    assert [(part.name, len(part.frames), part.expected, part.interrupted) for part in scores] == [("a", 35, 40, True)]
    assert missing == ["b"]


def test_the_resize_mode_concerns_native_only(frames):
    class Letterboxed(StandIn):
        """Its own resize mode makes something else of pictures of the network's size, too."""

        def segment(self, image) -> Prediction:
            found = super().segment(image)
            return Prediction(10 - found.labels, found.confidence)

    for protocols in (("paper",), ("native", "paper")):
        squashed, letterboxed = (dataset_frame(model(), frames, 3, protocols, "x") for model in (StandIn, Letterboxed))
        if "native" not in protocols:
            np.testing.assert_array_equal(letterboxed.labels, squashed.labels)
        else:
            np.testing.assert_array_equal(letterboxed.network_labels, squashed.network_labels)
            assert (letterboxed.labels != squashed.labels).any()


def test_deep_frames_keep_what_was_not_measured(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    depth = np.full((16, 12), 4000, np.uint16)
    depth[:8] = 0
    Image.fromarray(depth).save(tmp_path / "images/0.png")
    Image.fromarray(np.zeros((16, 12), np.uint8)).save(tmp_path / "labels/0.png")
    frames = folder_frames(FolderConfig(tmp_path / "images", tmp_path / "labels"), MADM11, DepthModality())
    both = dataset_frame(StandIn(), frames, 0, ("native", "paper"), "x")
    assert (both.labels[:8] == IGNORE).all() and (both.labels[8:] != IGNORE).all()
    assert (both.network_labels[:4] == IGNORE).all() and (both.network_labels[4:] != IGNORE).all()
    paper = dataset_frame(StandIn(), frames, 0, ("paper",), "x")
    assert paper.labels.shape == paper.truth.shape == paper.image.shape[:2] == (8, 8)
    assert (paper.confidence[:4] == 0).all()
