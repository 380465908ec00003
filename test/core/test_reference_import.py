"""The authors' checkpoint becomes a model directory that segments as their program does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from madm_core.errors import BaseModelError, CheckpointError
from madm_core.labels import LabelSet
from madm_core.model.madm import MadmNetwork
from madm_core.reference_checkpoint import ReferenceState
from madm_core.reference_import import import_reference_checkpoint
from madm_core.segmenter import Segmenter
from madm_ros.commands.import_checkpoint import main


@pytest.fixture(scope="module")
def authors_state(golden: Path, golden_state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The golden state exactly as their trainer would save it: aliases, half-precision autoencoder."""
    aliases = json.loads((golden / "model_tiny_state_aliases.json").read_text())["aliases"]
    state = dict(golden_state)
    state |= {alias: state[name] for alias, name in aliases.items()}
    return {name: tensor.half() if ".vae." in name else tensor for name, tensor in state.items()}


@pytest.fixture
def checkpoint(authors_state: dict[str, Tensor], tmp_path: Path) -> Path:
    file = tmp_path / "model_RGB2Depth.pth"
    extras = {"trainer": {"grad_scaler": {"scale": 65536.0}}, "iteration": 9999}
    torch.save({"model": authors_state, **extras}, file)
    return file


@pytest.fixture(scope="module")
def configs(golden: Path) -> Path:
    """The base's configurations, without any weights."""
    return golden / "tiny_sd"


def test_command_then_segment_gives_the_references_labels(
    golden: Path, checkpoint: Path, configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "models" / "depth"
    options = ["--checkpoint", str(checkpoint), "--base", str(configs), "--modality", "depth", "--output", str(output)]
    assert main(options) == 0
    printed = capsys.readouterr().out
    assert "used: 1047 tensors" in printed
    assert "second names of the same tensors: 63" in printed
    assert "taken from the base: nothing" in printed

    segmenter = Segmenter.from_pretrained(output, device="cpu")
    assert segmenter.modality.name == "depth"
    assert segmenter.label_set.name == "madm11"
    assert segmenter.image_size == (128, 128)
    with np.load(golden / "inference_128.npz") as expected:
        image = expected["in_target"].transpose(1, 2, 0)
        logits = segmenter.logits(image)
        scale = np.abs(expected["logits"]).max()
        np.testing.assert_allclose(logits[:, ::4, ::4].numpy(), expected["logits"][0], atol=1e-4 * scale)
        best, second = logits.topk(2, dim=0).values
        clear = (best - second).numpy() > 1e-3
        np.testing.assert_array_equal(segmenter.segment(image).labels[clear], expected["pred_u8"][0][clear])
    description = json.loads((output / "madm.json").read_text())
    assert description["provenance"]["imported_from"] == "model_RGB2Depth.pth"


def test_every_golden_tensor_arrives_unchanged(checkpoint: Path, configs: Path, golden_parts: ReferenceState) -> None:
    state = import_reference_checkpoint(checkpoint, configs).network.state_dict()
    assert set(state) == set(golden_parts.student)
    for name, tensor in golden_parts.student.items():
        assert torch.equal(state[name], tensor), name


def test_the_teacher(checkpoint: Path, configs: Path, golden_parts: ReferenceState) -> None:
    model = import_reference_checkpoint(checkpoint, configs, teacher=True)
    state = model.network.state_dict()
    for name, tensor in golden_parts.teacher.items():
        assert torch.equal(state[name], tensor), name
    assert torch.equal(state["backbone.unet.conv_in.weight"], golden_parts.student["backbone.unet.conv_in.weight"])
    assert any("teacher's averages" in line for line in model.report)


def test_nine_classes(
    golden: Path, authors_state: dict[str, Tensor], configs: Path, tmp_path: Path, golden_base: Path
) -> None:
    state = dict(authors_state)
    with np.load(golden / "e2e_variants_128.npz") as arrays:
        for name in ("sem_seg_head.conv_seg.weight", "sem_seg_head.conv_seg.bias"):
            for prefix in ("", "ema_"):
                state[prefix + name] = torch.from_numpy(arrays[f"infrared_iter0__state__{prefix}{name}"])
            state[name.replace("sem_seg_head", "sem_seg_head_sec_modal")] = state[name]
    file = tmp_path / "infrared.pth"
    torch.save(state, file)  # bare
    model = import_reference_checkpoint(file, configs)
    assert model.label_set.name == "madm9"
    with pytest.raises(CheckpointError, match="9 classes in the checkpoint, 11 in 'madm11'"):
        import_reference_checkpoint(file, configs, label_set=LabelSet.named("madm11"))


def test_what_the_file_lacks_comes_from_the_base(
    authors_state: dict[str, Tensor],
    configs: Path,
    golden_base: Path,
    tmp_path: Path,
    golden_network: Callable[[int], MadmNetwork],
) -> None:
    lacking = ("ldm_extractor.vae.", "ldm_extractor.shared_noise", "ldm_extractor.uncond_inputs")
    file = tmp_path / "slim.pth"
    torch.save({name: tensor for name, tensor in authors_state.items() if not any(x in name for x in lacking)}, file)
    model = import_reference_checkpoint(file, golden_base)
    assert "autoencoder, embedding of the empty prompt, shared noise" in model.report[-1]
    assert model.image_size == (512, 512)
    expected = golden_network(512).state_dict()
    for name, tensor in model.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-5)
    with pytest.raises(CheckpointError, match="does not fit the base"):
        import_reference_checkpoint(file, configs)  # here there are no weights to take


class TestRefusals:
    def refuse(self, state: dict[str, Tensor], base: Path, tmp_path: Path, match: str) -> None:
        """Both the function and the command refuse, and the command writes nothing."""
        file = tmp_path / "refused.pth"
        torch.save({"model": state}, file)
        with pytest.raises(CheckpointError, match=match):
            import_reference_checkpoint(file, base)
        output = tmp_path / "output"
        options = ["--checkpoint", str(file), "--base", str(base), "--modality", "depth", "--output", str(output)]
        assert main(options) == 2
        assert sorted(tmp_path.iterdir()) == [file]

    def test_another_program(self, configs: Path, tmp_path: Path) -> None:
        self.refuse({"layer1.0.conv1.weight": torch.ones(3)}, configs, tmp_path, "another architecture")

    def test_parts_that_madm_does_not_have(
        self, authors_state: dict[str, Tensor], configs: Path, tmp_path: Path
    ) -> None:
        state = {**authors_state, "backbone.feature_extractor.modality_mask": torch.ones(3)}
        self.refuse(state, configs, tmp_path, r"modality_mask")

    def test_a_lost_tensor(self, authors_state: dict[str, Tensor], configs: Path, tmp_path: Path) -> None:
        state = {name: tensor for name, tensor in authors_state.items() if "fuse_layer.bottleneck.conv" not in name}
        self.refuse(state, configs, tmp_path, r"missing \(e.g. head.fusion.conv.weight\)")

    def test_a_lost_tensor_of_the_unet(self, authors_state: dict[str, Tensor], configs: Path, tmp_path: Path) -> None:
        state = {name: tensor for name, tensor in authors_state.items() if "unet.conv_in.bias" not in name}
        self.refuse(state, configs, tmp_path, r"missing \(e.g. conv_in.bias\)")

    def test_a_base_of_another_size(self, authors_state: dict[str, Tensor], tiny_base: Path, tmp_path: Path) -> None:
        self.refuse(authors_state, tiny_base, tmp_path, r"of another shape")

    def test_seven_classes(self, authors_state: dict[str, Tensor], configs: Path, tmp_path: Path) -> None:
        state = {name: tensor[:7] if "conv_seg" in name else tensor for name, tensor in authors_state.items()}
        self.refuse(state, configs, tmp_path, "7 classes")

    def test_no_teacher(self, authors_state: dict[str, Tensor], configs: Path, tmp_path: Path) -> None:
        file = tmp_path / "student.pth"
        torch.save({name: tensor for name, tensor in authors_state.items() if "ema_" not in name}, file)
        import_reference_checkpoint(file, configs)
        with pytest.raises(CheckpointError, match="has no teacher"):
            import_reference_checkpoint(file, configs, teacher=True)

    def test_a_base_without_scheduler(self, checkpoint: Path, configs: Path, tmp_path: Path) -> None:
        base = tmp_path / "base"
        shutil.copytree(configs, base)
        shutil.rmtree(base / "scheduler")
        with pytest.raises(BaseModelError, match="no scheduler"):
            import_reference_checkpoint(checkpoint, base)

    def test_a_base_with_other_latents(self, checkpoint: Path, configs: Path, tmp_path: Path) -> None:
        base = tmp_path / "base"
        shutil.copytree(configs, base)
        config = json.loads((configs / "vae" / "config.json").read_text())
        (base / "vae" / "config.json").write_text(json.dumps({**config, "latent_channels": 16}))
        with pytest.raises(BaseModelError, match="latent channels 16"):
            import_reference_checkpoint(checkpoint, base)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (["--modality", "lidar"], "unknown modality"),
        (["--label-set", "ade20k"], "unknown label set"),
        (["--encoding", "log"], "key=value"),
        (["--encoding", "encodin=log"], "encodin"),
        (["--base", "no/such/directory"], "no base at"),
    ],
)
def test_wrong_options_are_explained(
    checkpoint: Path, configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: list[str], word: str
) -> None:
    output = tmp_path / "output"
    options = ["--checkpoint", str(checkpoint), "--base", str(configs), "--modality", "depth", "--output", str(output)]
    assert main([*options, *changed]) == 2
    assert word in capsys.readouterr().err
    assert not output.exists()
