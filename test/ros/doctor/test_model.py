import pytest

from madm_core.errors import DeviceError
from madm_core.labels import LabelSet
from madm_core.modalities import modality_named
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base
from madm_core.model.tiny_base import write_tiny_base
from madm_core.model_directory import save_model_directory
from madm_core.segmenter import Segmenter
from madm_ros.doctor.model import check_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    labels = LabelSet.named("madm9")
    network = MadmNetwork.from_base(
        load_base(write_tiny_base(folder / "base")), MadmArchitecture.tiny(len(labels)), (64, 64)
    )
    return save_model_directory(
        folder / "model", network, modality=modality_named("thermal", {}), label_set=labels, image_size=(64, 64)
    )


def test_a_model_is_described(model):
    found = {finding.subject: finding for finding in check_model(str(model))}
    assert {finding.level for finding in found.values()} == {"ok"}
    assert "9 classes" in found["model"].text and "thermal" in found["modality"].text
    assert found["classes"].text.startswith("9: ") and "person" in found["classes"].text


def test_a_damaged_model_is_an_error(model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (found,) = check_model(str(model))
    assert found.level == "error" and str(model) in found.text


def test_a_directory_that_is_not_there_is_an_error_with_a_way_out(tmp_path):
    (found,) = check_model(str(tmp_path / "nothing"))
    assert found.level == "error" and "nothing" in found.text and found.do


def test_a_program_chooses_its_device(exported_model, monkeypatch):
    asked = []

    def loads(path, device, base):
        asked.append(device)
        raise DeviceError("asked")

    monkeypatch.setattr(Segmenter, "from_pretrained", loads)
    check_model(str(exported_model))
    assert asked == ["auto"]


def test_a_base_may_be_elsewhere(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    network = MadmNetwork.from_base(load_base(base), MadmArchitecture.tiny(9), (64, 64))
    model = save_model_directory(
        tmp_path / "model", network, modality=modality_named("thermal", {}), label_set=LabelSet.named("madm9"),
        image_size=(64, 64), base_reference=base,
    )  # fmt: skip
    moved = base.rename(tmp_path / "moved")
    (found,) = check_model(str(model))
    assert found.level == "error" and str(base) in found.text and "--base" in found.do
    assert {finding.level for finding in check_model(str(model), str(moved))} == {"ok"}
