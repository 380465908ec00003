from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from madm_core.adaptation.validation import require_scorable, validate
from madm_core.data.frames import FrameFiles, Frames
from madm_core.errors import DataError


class Brightness(nn.Module):
    """Says class 1 where a picture is bright; only in evaluation mode."""

    def forward(self, image, timestep):
        assert not self.training
        assert timestep == 0
        bright = (image.mean(1) > 0.5).float()
        return SimpleNamespace(logits=torch.stack([1 - bright, bright], 1))


@pytest.fixture
def frames(tmp_path):
    files = []
    for index in range(4):
        picture, labels = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
        picture[:, 8:] = 255
        labels[:, 8:] = 1
        if index == 3:
            labels[:8, 8:] = 0  # a quarter of this picture is wrong
        Image.fromarray(picture).save(tmp_path / f"i{index}.png")
        Image.fromarray(labels).save(tmp_path / f"l{index}.png")
        files.append(FrameFiles(tmp_path / f"i{index}.png", tmp_path / f"l{index}.png"))
    return Frames("four", files)


def run(frames, limit=0, network=None):
    return validate(
        network or Brightness(), frames, image_size=(16, 16), classes=2, limit=limit, device=torch.device("cpu")
    )


def test_scores_and_the_network_s_mode(frames):
    network = Brightness().train()
    found = run(frames, network=network)
    assert network.training
    assert found.pixel_accuracy == pytest.approx(1 - 64 / 1024)
    np.testing.assert_allclose(found.iou, [512 / 576, 448 / 512])
    assert found.mean_iou == pytest.approx((512 / 576 + 448 / 512) / 2)


def test_a_limit_spreads_over_the_set(frames):
    assert run(frames, limit=2).pixel_accuracy == pytest.approx(1 - 64 / 512)  # the first and the last


def test_unreadable_frames_are_left_out_and_said(frames, caplog):
    frames.files[3].image.write_bytes(b"broken")
    assert run(frames).pixel_accuracy == 1
    assert "a validation frame is left out" in caplog.text
    for frame in frames.files:
        frame.image.write_bytes(b"")
    with pytest.raises(DataError, match="could be scored.*check_data|check_data"):
        run(frames)


def test_a_first_look_at_five_frames_finds_a_set_of_which_nothing_can_be_scored(frames, tmp_path):
    missing = FrameFiles(tmp_path / "missing.png", tmp_path / "missing.png")
    files = [missing] * 21
    with pytest.raises(DataError, match=r"cannot read .*missing\.png"):
        require_scorable(Frames("missing", files))
    for index in range(21):
        one = Frames("one", [*files[:index], frames.files[0], *files[index + 1 :]])
        if index in (0, 5, 10, 15, 20):
            require_scorable(one)
        else:
            with pytest.raises(DataError):
                require_scorable(one)
