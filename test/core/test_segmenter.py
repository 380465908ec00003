"""Any image in, one class and one confidence for every pixel out."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from madm_core.errors import ConfigError, DeviceError, InvalidInputError, ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import EncodedImage, modality_named
from madm_core.model.head import SegmentationHead
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base
from madm_core.model_directory import load_model_directory, save_model_directory
from madm_core.segmenter import Segmenter

DEMO_MODEL = Path(__file__).resolve().parents[2] / "demo" / "models" / "street-depth"
SIZE = (64, 128)


@pytest.fixture(scope="module")
def model(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of an untrained model."""
    torch.manual_seed(0)
    network = MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(11), SIZE)
    path = tmp_path_factory.mktemp("models") / "depth"
    return save_model_directory(
        path, network, modality=modality_named("depth"), label_set=LabelSet.named("madm11"), image_size=SIZE
    )


@pytest.fixture(scope="module")
def segmenter(model: Path) -> Segmenter:
    return Segmenter.from_pretrained(model, device="cpu")


@pytest.fixture(scope="module")
def image() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def test_prediction_has_the_images_size_and_types(segmenter: Segmenter, image: npt.NDArray[np.uint8]) -> None:
    prediction = segmenter.segment(image)
    assert prediction.labels.shape == prediction.confidence.shape == (90, 120)
    assert prediction.labels.dtype == np.uint8
    assert prediction.confidence.dtype == np.float32
    assert set(np.unique(prediction.labels)) <= set(segmenter.label_set.ids)
    assert prediction.confidence.min() >= 1 / 11 - 1e-6
    assert prediction.confidence.max() <= 1


@pytest.mark.parametrize(
    ("resize", "size"),
    [
        *(("reference", size) for size in ((1, 1), (7, 300), (200, 40), (64, 128), (480, 640))),
        *(("keep_aspect", size) for size in ((1, 1), (7, 300), (33, 65), (480, 640))),
        *(("sliding_window", size) for size in ((1, 1), (33, 65), (64, 128), (90, 120))),
    ],
)
def test_any_size(model: Path, size: tuple[int, int], resize: str) -> None:
    segmenter = Segmenter.from_pretrained(model, device="cpu", resize=resize)
    image = np.random.default_rng(1).random(size, np.float32)
    prediction = segmenter.segment(image)
    assert prediction.labels.shape == size
    assert np.isfinite(prediction.confidence).all()


def test_labels_come_from_resized_logits(segmenter: Segmenter, image: npt.NDArray[np.uint8]) -> None:
    logits = segmenter.logits(image)
    assert logits.shape == (11, *SIZE)
    assert logits.dtype == torch.float32
    resized = nn.functional.interpolate(logits[None], size=(90, 120), mode="bilinear", antialias=True)[0]
    prediction = segmenter.segment(image)
    # The height grows and the width shrinks; a wider filter when shrinking is what keeps small objects alive.
    np.testing.assert_array_equal(prediction.labels, resized.argmax(dim=0).numpy())
    np.testing.assert_allclose(prediction.confidence, resized.softmax(dim=0).amax(dim=0).numpy(), atol=1e-6)


@pytest.mark.parametrize("resize", ["keep_aspect", "sliding_window"])
def test_logits_of_another_resize_mode(
    segmenter: Segmenter, model: Path, image: npt.NDArray[np.uint8], resize: str
) -> None:
    other = Segmenter.from_pretrained(model, device="cpu", resize=resize)
    assert not torch.equal(other.logits(image), segmenter.logits(image))
    assert torch.equal(other.logits(image, "reference"), segmenter.logits(image))


def test_the_types_of_images_agree(segmenter: Segmenter, image: npt.NDArray[np.uint8]) -> None:
    gray = image[:, :, 0]
    expected = segmenter.logits(gray)
    for same in (
        gray[:, :, None],
        np.repeat(gray[:, :, None], 3, axis=2),
        gray.astype(np.float32) / 255,
        gray.astype(np.float64) / 255,
        np.asfortranarray(gray),
        EncodedImage(np.repeat(gray.astype(np.float32)[:, :, None] / 255, 3, axis=2)),
    ):
        torch.testing.assert_close(segmenter.logits(same), expected, atol=1e-4, rtol=1e-4)


def test_pixels_without_measurement(segmenter: Segmenter) -> None:
    valid = np.ones((50, 60), np.bool_)
    valid[10:20, 30:] = False
    encoded = EncodedImage(np.full((50, 60, 3), 0.3, np.float32), valid)
    prediction = segmenter.segment(encoded)
    assert (prediction.labels[~valid] == 255).all()
    assert (prediction.confidence[~valid] == 0).all()
    assert (prediction.labels[valid] < 11).all()
    assert (prediction.confidence[valid] > 0).all()


def test_pixels_without_finite_numbers_are_no_class(segmenter: Segmenter) -> None:
    logits = torch.randn(11, 4, 6, generator=torch.Generator().manual_seed(0))
    clean = segmenter.prediction(logits, (4, 6))
    assert segmenter.problem == ""
    logits[3, 0, 0] = torch.nan
    logits[2, 1, 1] = torch.inf
    logits[:, 2, 2] = -torch.inf
    logits[(int(clean.labels[3, 3]) + 1) % 11, 3, 3] = -torch.inf  # one class is impossible, and the others are not
    prediction = segmenter.prediction(logits, (4, 6))
    unknown = np.zeros((4, 6), np.bool_)
    unknown[[0, 1, 2], [0, 1, 2]] = True
    assert (prediction.labels[unknown] == 255).all()
    assert (prediction.confidence[unknown] == 0).all()
    np.testing.assert_array_equal(prediction.labels[~unknown], clean.labels[~unknown])
    assert prediction.confidence[3, 3] > clean.confidence[3, 3]
    unknown[3, 3] = True
    np.testing.assert_array_equal(prediction.confidence[~unknown], clean.confidence[~unknown])
    assert "no finite numbers for 3 pixels of the last image" in segmenter.problem
    segmenter.prediction(torch.zeros(11, 4, 6), (8, 12))
    assert segmenter.problem == ""


def test_raw_depth_through_the_models_own_modality(segmenter: Segmenter) -> None:
    raw = np.full((40, 50), 4000, np.uint16)
    raw[:, :5] = 0
    prediction = segmenter.segment(segmenter.modality.encode(raw))
    assert (prediction.labels[:, :5] == 255).all()
    assert (prediction.labels[:, 5:] < 11).all()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.zeros((0, 5, 3), np.uint8), "size"),
        (np.zeros((5, 5, 4), np.uint8), "shape"),
        (np.zeros((5,), np.uint8), "shape"),
        (np.zeros((1, 5, 5, 3), np.uint8), "shape"),
        (np.zeros((5, 5), np.uint16), "dtype"),
        (np.zeros((5, 5), np.bool_), "dtype"),
        (np.full((5, 5), 1.5, np.float32), "range"),
        (np.full((5, 5), -0.1, np.float32), "range"),
        (np.full((5, 5), np.nan, np.float32), "range"),
        (np.full((5, 5), np.inf, np.float32), "range"),
        (EncodedImage(np.zeros((5, 5, 3), np.float32), np.ones((4, 5), np.bool_)), "size"),
    ],
)
def test_unusable_images_are_refused(
    segmenter: Segmenter, bad: npt.NDArray[np.generic] | EncodedImage, reason: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        segmenter.segment(bad)
    assert caught.value.reason == reason
    assert "expected" in str(caught.value)


def test_the_input_is_not_changed(segmenter: Segmenter) -> None:
    image = np.full((64, 128, 3), 0.25, np.float32)
    segmenter.segment(image)
    assert (image == 0.25).all()


def test_it_computes_the_networks_function() -> None:
    """A trained network: folding and moving it changes nothing that could be seen."""
    model = load_model_directory(DEMO_MODEL)
    network = model.network
    image = np.random.default_rng(2).random((*model.image_size, 1), np.float32)
    segmenter = Segmenter.from_pretrained(DEMO_MODEL, device="cpu")
    with torch.no_grad():
        expected = network(torch.from_numpy(image.transpose(2, 0, 1)[None].repeat(3, axis=1))).logits[0]
    torch.testing.assert_close(segmenter.logits(image), expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def test_bf16_gives_nearly_the_same_labels(
    model: Path, golden_network: Callable[[int], MadmNetwork], image: npt.NDArray[np.uint8]
) -> None:
    label_set = LabelSet.named("madm11")
    by_precision = {
        precision: Segmenter(
            golden_network(128), modality_named("depth"), label_set, (128, 128), device="cpu", precision=precision
        )
        for precision in ("fp32", "bf16")
    }
    full, half = (segmenter.logits(image) for segmenter in by_precision.values())
    assert half.dtype == torch.float32
    error = (full - half).abs() / full.abs().max()
    assert 0 < error.mean() < 0.02
    assert (full.argmax(dim=0) == half.argmax(dim=0)).float().mean() > 0.9


def test_reference_amp_runs_as_the_reference_did(
    golden_network: Callable[[int], MadmNetwork], image: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast over float32 weights, the plain head, the schedule rounded to half: here on a CPU, which also has it."""
    monkeypatch.setattr("madm_core.model.madm.choose_precision", lambda *_: "reference_amp")
    network = golden_network(128)
    segmenter = Segmenter(network, modality_named("depth"), LabelSet.named("madm11"), (128, 128), device="cpu")
    assert isinstance(network.head, SegmentationHead)
    assert network.head.classifier.weight.dtype == torch.float32
    _, noise_share = network.backbone.shared_noise.coefficients(torch.tensor([0]))
    assert noise_share.item() == 0.03125
    kinds: list[torch.dtype] = []
    network.head.fusion.conv.register_forward_hook(lambda *call: kinds.append(call[2].dtype))
    logits = segmenter.logits(image)
    assert kinds == [torch.float16]
    assert logits.dtype == torch.float32
    expected = golden_network(128)(torch.from_numpy(to_network(image))).logits[0]
    assert (logits - expected).abs().mean() < 0.02 * expected.abs().max()


def to_network(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(1, 3, 128, 128) float32 as the segmenter resizes it."""
    pixels = torch.from_numpy(image.astype(np.float32).transpose(2, 0, 1)[None] / 255)
    resized = nn.functional.interpolate(pixels, size=(128, 128), mode="bilinear", antialias=True)
    return resized.numpy()


def test_auto_says_what_it_took(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        segmenter = Segmenter.from_pretrained(model)
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert segmenter.device.type == expected
    assert f"device auto: running on {expected}" in caplog.text
    assert segmenter.description in caplog.text


def test_description(segmenter: Segmenter, model: Path) -> None:
    for part in (str(model), "depth", "11 classes", "128x64 pixels", "fp32 on cpu"):
        assert part in segmenter.description


def test_warm_up_takes_a_while(segmenter: Segmenter) -> None:
    assert 0 < segmenter.warm_up() < 60


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"device": "tpu"}, DeviceError),
        ({"device": "meta"}, DeviceError),
        ({"device": "cuda:99"}, DeviceError),
        ({"device": "cpu", "precision": "fp16"}, DeviceError),
        ({"device": "cpu", "precision": "reference_amp"}, DeviceError),
        ({"device": "cpu", "precision": "fp8"}, ConfigError),
        ({"device": "cpu", "compile_mode": "fast"}, ConfigError),
        ({"device": "cpu", "resize": "stretch"}, ConfigError),
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(
    tmp_path: Path, option: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error, match="expected"):
        Segmenter.from_pretrained(tmp_path / "nothing here", **option)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(ModelDirectoryError, match="no model directory"):
        Segmenter.from_pretrained(tmp_path / "absent", device="cpu")


def test_label_set_of_another_size(golden_network: Callable[[int], MadmNetwork]) -> None:
    with pytest.raises(ConfigError, match="9 classes"):
        Segmenter(golden_network(128), modality_named("depth"), LabelSet.named("madm9"), (128, 128), device="cpu")


class _Failing(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, image: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_out_of_memory_gets_advice(model: Path, image: npt.NDArray[np.uint8], error: Exception) -> None:
    segmenter = Segmenter.from_pretrained(model, device="cpu")
    segmenter._run_network = _Failing(error)
    with pytest.raises(DeviceError, match="ran out of memory for 128x64 pixels in fp32.*smaller"):
        segmenter.segment(image)


def test_a_device_that_vanishes_is_reported_and_the_next_image_is_tried(
    model: Path, image: npt.NDArray[np.uint8]
) -> None:
    segmenter = Segmenter.from_pretrained(model, device="cpu")
    working = segmenter._run_network
    segmenter._run_network = _Failing(RuntimeError("CUDA error: unspecified launch failure\nsecond line"))
    with pytest.raises(DeviceError, match="cpu stopped working: got CUDA error: unspecified launch failure. Look at"):
        segmenter.segment(image)
    segmenter._run_network = working
    assert segmenter.segment(image).labels.shape == image.shape[:2]


def test_a_compiler_that_fails(
    model: Path, image: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is an error, or a warning and a fact of the segmenter, as the user chose."""
    monkeypatch.setattr(torch, "compile", lambda *_, **__: _Failing(RuntimeError("no C++ compiler")))
    strict = Segmenter.from_pretrained(model, device="cpu", compile_mode="default")
    with pytest.raises(DeviceError, match="torch.compile failed.*no C\\+\\+ compiler.*compile_mode none"):
        strict.segment(image)
    assert strict.problem == ""
    lenient = Segmenter.from_pretrained(model, device="cpu", compile_mode="default", allow_eager_fallback=True)
    expected = Segmenter.from_pretrained(model, device="cpu").segment(image)
    np.testing.assert_array_equal(lenient.segment(image).labels, expected.labels)
    assert "runs uncompiled (RuntimeError: no C++ compiler)" in lenient.problem
    assert lenient.problem in caplog.text


def test_an_error_in_the_program_is_not_dressed_up(model: Path, image: npt.NDArray[np.uint8]) -> None:
    segmenter = Segmenter.from_pretrained(model, device="cpu")
    segmenter._run_network = _Failing(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="^a bug$"):
        segmenter.segment(image)
