"""Where the weights of large networks go."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

from madm_core.export import onnx
from madm_core.export.onnx import write_onnx

IMAGES = torch.rand((1, 3, 16, 24), generator=torch.Generator().manual_seed(1))


def test_the_weights_of_a_large_network_are_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export, places = torch.onnx.export, []

    def record(network: nn.Module, images: Any, place: Any, **options: Any) -> Any:
        places.append(place)
        return export(network, images, place, **options)

    monkeypatch.setattr(torch.onnx, "export", record)
    monkeypatch.setattr(onnx, "_LARGEST_FILE", 1000)
    network = nn.Conv2d(3, 11, 9, padding=4).requires_grad_(False)
    write_onnx(network, (16, 24), torch.device("cpu"), tmp_path / "model.onnx")
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}
    assert [type(place) for place in places] == [str]  # with a Path, PyTorch refuses what is above 2 GiB
    found = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).run(None, {"images": IMAGES.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), network(IMAGES), atol=1e-5, rtol=1e-5)
