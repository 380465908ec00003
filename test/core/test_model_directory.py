"""Model directories: complete or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from madm_core.errors import BaseModelError, ConfigError, ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import modality_named
from madm_core.modalities.input_statistics import InputStatistics
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import load_base
from madm_core.model.tiny_base import write_tiny_base
from madm_core.model_directory import find_model_directory, load_model_directory, save_model_directory
from madm_core.segmenter import Segmenter

SIZE = (64, 128)
LABELS = LabelSet.named("madm9")
STATISTICS = InputStatistics.of([{"picture_mean": 0.5, "picture_contrast": 0.25, "valid_share": 1.0}])
IMAGE = torch.linspace(0, 1, 3 * SIZE[0] * SIZE[1]).reshape(1, 3, *SIZE)


@pytest.fixture(scope="module")
def network(tiny_base: Path) -> MadmNetwork:
    torch.manual_seed(0)
    return MadmNetwork.from_base(load_base(tiny_base), MadmArchitecture.tiny(9), SIZE).eval()


def save(path: Path, network: MadmNetwork, **changed: Any) -> Path:
    options = {"modality": modality_named("thermal"), "label_set": LABELS, "image_size": SIZE, **changed}
    return save_model_directory(path, network, **options)


@pytest.fixture(scope="module")
def saved(network: MadmNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "thermal"
    return save(path, network, provenance={"recipe": "reference", "miou": 0.6223}, input_statistics=STATISTICS)


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copied"))


def test_comes_back_as_it_was(network: MadmNetwork, saved: Path) -> None:
    random_state = torch.get_rng_state()
    model = load_model_directory(saved)
    assert torch.equal(torch.get_rng_state(), random_state)  # a training that loads a model stays reproducible
    assert model.label_set == LABELS
    assert model.image_size == SIZE
    assert model.modality == modality_named("thermal")
    assert model.description["provenance"] == {"recipe": "reference", "miou": 0.6223}
    assert model.input_statistics == STATISTICS == Segmenter.from_pretrained(saved, device="cpu").input_statistics
    assert model.network.architecture == network.architecture
    assert not model.network.training
    torch.testing.assert_close(model.network.state_dict(), network.state_dict(), rtol=0, atol=0)
    with torch.no_grad():
        assert torch.equal(model.network(IMAGE).logits, network(IMAGE).logits)


def test_needs_no_text_encoder_and_no_other_file(saved: Path, copied: Path) -> None:
    files = {file.relative_to(saved).as_posix() for file in saved.rglob("*") if file.is_file()}
    assert files == {
        "madm.json",
        "model.safetensors",
        "base/unet/config.json",
        "base/vae/config.json",
        "base/vae/diffusion_pytorch_model.safetensors",
        "base/scheduler/scheduler_config.json",
    }
    assert all(file.stat().st_mode & 0o044 for file in saved.rglob("*") if file.is_file())
    load_model_directory(copied)


class TestReferenceToABase:
    def test_the_base_stays_where_it_is(self, network: MadmNetwork, tiny_base: Path, tmp_path: Path) -> None:
        path = save(tmp_path / "model", network, base_reference=tiny_base)
        assert not list(path.glob("base/**/*.safetensors"))
        assert json.loads((path / "madm.json").read_text())["base"]["reference"] == str(tiny_base)
        loaded = load_model_directory(path).network
        torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)

    def test_a_base_that_moved(self, network: MadmNetwork, tiny_base: Path, tmp_path: Path) -> None:
        moved = Path(shutil.copytree(tiny_base, tmp_path / "moved"))
        path = save(tmp_path / "model", network, base_reference=moved)
        moved.rename(tmp_path / "again")
        with pytest.raises(BaseModelError, match="no base at") as error:
            load_model_directory(path)
        assert error.value.do is not None and all(
            word in error.value.do for word in ("--base", "parameter base", "teacher_base")
        )
        with pytest.raises(BaseModelError, match="no base at") as error:
            load_model_directory(path, base=tmp_path / "mistyped")
        assert "--base" not in str(error.value)
        load_model_directory(path, base=tmp_path / "again")

    def test_another_base_of_the_same_shape(self, network: MadmNetwork, tiny_base: Path, tmp_path: Path) -> None:
        path = save(tmp_path / "model", network, base_reference=tiny_base)
        other = write_tiny_base(tmp_path / "other", seed=1)
        with pytest.raises(ModelDirectoryError, match="not the one that the model was trained with"):
            load_model_directory(path, base=other)

    def test_a_hub_id_is_kept_as_it_is(
        self, network: MadmNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save(tmp_path / "model", network, base_reference="CompVis/stable-diffusion-v1-4")
        assert json.loads((path / "madm.json").read_text())["base"]["reference"] == "CompVis/stable-diffusion-v1-4"


class TestWriting:
    def test_replaces_an_older_model(self, network: MadmNetwork, saved: Path, tmp_path: Path) -> None:
        path = Path(shutil.copytree(saved, tmp_path / "model"))
        (path / "stale.txt").touch()
        save(path, network, provenance={"step": 2})
        assert load_model_directory(path).description["provenance"] == {"step": 2}
        assert not (path / "stale.txt").exists()
        assert list(tmp_path.iterdir()) == [path]

    def test_does_not_replace_anything_else(self, network: MadmNetwork, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(ModelDirectoryError, match="will not replace"):
            save(tmp_path, network)
        with pytest.raises(ModelDirectoryError, match="will not replace"):
            save(tmp_path / "thesis.tex", network)
        assert (tmp_path / "thesis.tex").exists()

    @pytest.mark.parametrize(
        "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")]
    )
    def test_failing_in_the_middle_leaves_the_older_model(
        self, network: MadmNetwork, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        path = Path(shutil.copytree(saved, tmp_path / "model"))

        def full_disk(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("madm_core.model_directory.write_base", full_disk)
        with pytest.raises(ModelDirectoryError, match="No space left"):
            save(path, network)
        assert list(tmp_path.iterdir()) == [path]
        load_model_directory(path)

    def test_failing_at_the_last_moment_puts_the_older_model_back(
        self, network: MadmNetwork, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = Path(shutil.copytree(saved, tmp_path / "model"))
        rename = Path.rename

        def fail_for_the_new_one(source: Path, target: Path) -> Path:
            if target == path and source.name != "model":
                raise OSError(5, "Input/output error")
            return rename(source, target)

        monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
        with pytest.raises(ModelDirectoryError, match="Input/output error"):
            save(path, network)
        assert list(tmp_path.iterdir()) == [path]
        load_model_directory(path)

    def test_a_network_that_a_segmenter_took_over(self, saved: Path, tmp_path: Path) -> None:
        taken = load_model_directory(saved).network.fold_head()
        with pytest.raises(ModelDirectoryError, match="before a Segmenter takes it over"):
            save(tmp_path / "model", taken)

    def test_says_nothing_about_the_machine(self, saved: Path, tiny_base: Path) -> None:
        for file in saved.rglob("*.json"):
            assert str(tiny_base) not in file.read_text()

    def test_label_set_of_another_size(self, network: MadmNetwork, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="11 classes in 'madm11'"):
            save(tmp_path / "model", network, label_set=LabelSet.named("madm11"))
        assert not list(tmp_path.iterdir())


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    description = json.loads((path / "madm.json").read_text())
    change(description)
    (path / "madm.json").write_text(json.dumps(description))


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelDirectoryError, match="no such directory"):
            load_model_directory(tmp_path / "absent")
        with pytest.raises(ModelDirectoryError, match=r"no madm\.json"):
            load_model_directory(tmp_path)

    def test_newer_format(self, copied: Path) -> None:
        edit(copied, lambda description: description.update(format_version=3, written_by="madm_ros 9.0.0"))
        with pytest.raises(ModelDirectoryError, match=r"newer version: got format 3 \(madm_ros 9\.0\.0\).*Update"):
            load_model_directory(copied)

    @pytest.mark.parametrize("name", ["model.safetensors", "base/vae/diffusion_pytorch_model.safetensors"])
    def test_truncated_weights(self, copied: Path, name: str) -> None:
        content = (copied / name).read_bytes()
        (copied / name).write_bytes(content[:-100])
        with pytest.raises(ModelDirectoryError, match=f"{name} has {len(content) - 100} of {len(content)} bytes"):
            load_model_directory(copied)

    def test_one_flipped_bit(self, copied: Path) -> None:
        file = copied / "model.safetensors"
        content = bytearray(file.read_bytes())
        content[-1000] ^= 1
        file.write_bytes(content)
        with pytest.raises(ModelDirectoryError, match=r"model\.safetensors does not have the checksum"):
            load_model_directory(copied)

    def test_lost_file(self, copied: Path) -> None:
        (copied / "base" / "unet" / "config.json").unlink()
        with pytest.raises(ModelDirectoryError, match=r"base/unet/config\.json is missing"):
            load_model_directory(copied)

    def test_truncated_description(self, copied: Path) -> None:
        content = (copied / "madm.json").read_text()
        (copied / "madm.json").write_text(content[: len(content) // 2])
        with pytest.raises(ModelDirectoryError, match=r"damaged: got madm\.json"):
            load_model_directory(copied)

    @pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"format": "x", "format_version": 1, "files": {}}'])
    def test_some_other_json(self, copied: Path, text: str) -> None:
        (copied / "madm.json").write_text(text)
        with pytest.raises(ModelDirectoryError, match=r"madm\.json"):
            load_model_directory(copied)

    @pytest.mark.parametrize("entry", [3, {}, {"bytes": 1}, None])
    def test_malformed_checksums(self, copied: Path, entry: object) -> None:
        edit(copied, lambda description: description["files"].update({"base/unet/config.json": entry}))
        with pytest.raises(ModelDirectoryError, match="damaged"):
            load_model_directory(copied)

    @pytest.mark.parametrize("key", ["modality", "label_set", "image_size", "architecture", "base"])
    def test_incomplete_description(self, copied: Path, key: str) -> None:
        edit(copied, lambda description: description.pop(key))
        with pytest.raises(ModelDirectoryError, match=key):
            load_model_directory(copied)

    def test_weights_of_another_architecture(self, copied: Path) -> None:
        edit(copied, lambda description: description["architecture"].update(head_channels=48))
        with pytest.raises(ModelDirectoryError, match="do not fit the architecture"):
            load_model_directory(copied)

    def test_weights_that_lack_a_tensor(self, copied: Path) -> None:
        state = load_file(copied / "model.safetensors")
        del state["head.classifier.bias"]
        save_file(state, copied / "model.safetensors")
        edit(copied, lambda description: description["files"].pop("model.safetensors"))
        with pytest.raises(ModelDirectoryError, match=r"1 tensors missing \(e\.g\. head\.classifier\.bias\)"):
            load_model_directory(copied)


class TestFinding:
    def test_a_path(self, saved: Path) -> None:
        assert find_model_directory(saved) == saved
        assert find_model_directory(str(saved)) == saved

    def test_offline_nothing_is_downloaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelDirectoryError, match="HF_HUB_OFFLINE"):
            find_model_directory("somebody/madm-depth")

    def test_a_model_in_the_local_cache(self, hub_cache: Callable[..., Path], saved: Path) -> None:
        snapshot = hub_cache("robots/madm-thermal", saved)
        assert find_model_directory("robots/madm-thermal") == snapshot
        load_model_directory(snapshot)

    @pytest.mark.parametrize("listed", [True, False])
    @pytest.mark.parametrize("name", ["madm.json", "base/unet/config.json"])
    def test_a_model_in_the_local_cache_that_lacks_a_file(
        self, hub_cache: Callable[..., Path], saved: Path, name: str, listed: bool
    ) -> None:
        hub_cache("robots/madm-thermal", saved, [name], listed=listed)
        with pytest.raises(ModelDirectoryError, match="no model at .* is not in the local cache"):
            find_model_directory("robots/madm-thermal")

    @pytest.mark.parametrize("kind", ["torchscript", "torch-export", "tensorrt", "onnx", "segformer", None])
    def test_a_program_that_can_hold_code_is_not_run_from_the_hub(
        self, copied: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None
    ) -> None:
        monkeypatch.setattr("madm_core.model_directory.cached_or_downloaded", lambda *_: copied)
        if kind is not None:
            edit(copied, lambda description: description.update(network=kind))
        if kind in ("torchscript", "torch-export", "tensorrt"):
            with pytest.raises(ModelDirectoryError, match=f"can hold code.*name its directory instead: {copied}"):
                find_model_directory("somebody/madm-depth")
        else:
            assert find_model_directory("somebody/madm-depth") == copied
        assert find_model_directory(copied) == copied  # who names a directory has chosen to trust it

    def test_a_mistyped_path_does_not_go_online(
        self, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "models").mkdir()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("madm_core.model.hub.snapshot_download", lambda *_, **__: pytest.fail("went online"))
        with pytest.raises(ModelDirectoryError, match="no such directory"):
            load_model_directory(find_model_directory("models/deph"))
