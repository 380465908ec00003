"""Where a base's files are looked for, and which families are refused."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from madm_core.errors import BaseModelError
from madm_core.model.base_files import find_base, read_json
from madm_core.model.stable_diffusion import load_base

PARTS = ("unet", "vae", "scheduler")
HUB_ID = "CompVis/stable-diffusion-v1-4"


class Hub:
    """Stands in for the hub: a repository of files and a local cache."""

    def __init__(self, repository: Path, cache: Path) -> None:
        self.repository, self.cache = repository, cache
        self.downloads: list[list[str]] = []

    def snapshot_download(
        self,
        hub_id: str,
        *,
        local_files_only: bool = False,
        allow_patterns: Sequence[str] = (),
        ignore_patterns: Sequence[str] = (),
    ) -> str:
        assert hub_id == HUB_ID
        if local_files_only:
            if not self.cache.exists():
                raise LocalEntryNotFoundError("not cached")
            return str(self.cache)
        self.downloads.append(list(allow_patterns))
        for file in self.repository.rglob("*"):
            name = file.relative_to(self.repository)
            if file.is_file() and any(name.match(pattern) for pattern in allow_patterns):
                (self.cache / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, self.cache / name)
        return str(self.cache)


@pytest.fixture
def hub(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    fake = Hub(Path(shutil.copytree(tiny_base, tmp_path / "repository")), tmp_path / "cache")
    monkeypatch.setattr("madm_core.model.hub.snapshot_download", fake.snapshot_download)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    return fake


class TestHub:
    def test_downloads_once_and_only_what_is_needed(self, hub: Hub) -> None:
        directory = find_base(HUB_ID, PARTS)
        assert directory == hub.cache
        assert sorted(path.name for path in directory.iterdir()) == ["scheduler", "unet", "vae"]
        assert find_base(HUB_ID, PARTS) == directory
        assert len(hub.downloads) == 1

    def test_a_cached_base_lacks_a_part(self, hub: Hub) -> None:
        find_base(HUB_ID, PARTS)
        directory = find_base(HUB_ID, ("tokenizer", "text_encoder"))
        assert (directory / "text_encoder" / "model.safetensors").is_file()
        assert len(hub.downloads) == 2

    def test_configurations_without_weights(self, hub: Hub) -> None:
        directory = find_base(HUB_ID, PARTS, weights=False)
        assert not list(directory.rglob("*.safetensors"))
        find_base(HUB_ID, PARTS)  # the weights are fetched when they are needed
        assert (directory / "unet" / "diffusion_pytorch_model.safetensors").is_file()

    def test_pickled_weights_only_where_there_are_no_others(self, hub: Hub) -> None:
        safe = hub.repository / "unet" / "diffusion_pytorch_model.safetensors"
        safe.rename(safe.with_suffix(".bin"))
        (hub.repository / "vae" / "diffusion_pytorch_model.bin").touch()
        directory = find_base(HUB_ID, PARTS)
        assert (directory / "unet" / "diffusion_pytorch_model.bin").is_file()
        assert not (directory / "vae" / "diffusion_pytorch_model.bin").exists()

    def test_offline(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(BaseModelError, match="not in the local cache: got HF_HUB_OFFLINE"):
            find_base(HUB_ID, PARTS)
        assert not hub.downloads
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        find_base(HUB_ID, PARTS)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        load_base(HUB_ID)  # from the cache

    def test_the_hub_does_not_have_it(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_hub_id: str, *, local_files_only: bool = False, **_: object) -> str:
            if local_files_only:
                raise LocalEntryNotFoundError("not cached")
            raise OSError("Repository Not Found\nand a long explanation")

        monkeypatch.setattr("madm_core.model.hub.snapshot_download", refuse)
        with pytest.raises(BaseModelError, match="cannot download .*: got OSError: Repository Not Found; expected"):
            find_base(HUB_ID, PARTS)

    def test_a_cache_of_some_parts_is_enough_offline(
        self, hub_cache: Callable[..., Path], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        snapshot = hub_cache(HUB_ID, tiny_base, ["text_encoder/model.safetensors", "tokenizer/vocab.json"])
        assert find_base(HUB_ID, PARTS) == snapshot
        load_base(HUB_ID)
        for part in ("text_encoder", "tokenizer"):
            with pytest.raises(BaseModelError, match="not in the local cache"):
                find_base(HUB_ID, (part,))

    @pytest.mark.parametrize("name", ["models/sd", "./models/sd", "/models/sd", "sd", "a/b/c", "~/sd", "../sd"])
    def test_a_path_with_a_typing_mistake_never_goes_online(self, hub: Hub, tmp_path: Path, name: str) -> None:
        (tmp_path / "models").mkdir()
        with pytest.raises(BaseModelError, match="no base at"):
            find_base(name, PARTS)
        assert not hub.downloads


class TestDirectories:
    @pytest.mark.parametrize("part", PARTS)
    def test_incomplete(self, tiny_base: Path, tmp_path: Path, part: str) -> None:
        directory = Path(shutil.copytree(tiny_base, tmp_path / "base"))
        shutil.rmtree(directory / part)
        with pytest.raises(BaseModelError, match=f"incomplete: got no {part}/"):
            find_base(directory, PARTS)

    @pytest.mark.parametrize(
        ("pipeline", "reason"),
        [
            ("StableDiffusionXLPipeline", "SDXL's U-Net has three levels"),
            ("StableDiffusion3Pipeline", "is a transformer and has no U-Net"),
            ("FluxPipeline", "is a transformer and has no U-Net"),
            ("LatentConsistencyModelPipeline", "guidance embedding"),
        ],
    )
    def test_other_families_by_their_index(self, tmp_path: Path, pipeline: str, reason: str) -> None:
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
        with pytest.raises(BaseModelError, match=reason):
            find_base(tmp_path, PARTS)

    @pytest.mark.parametrize(
        ("folder", "reason"), [("text_encoder_2", "two text encoders"), ("transformer", "diffusion transformer")]
    )
    def test_other_families_by_their_folders(self, tmp_path: Path, folder: str, reason: str) -> None:
        (tmp_path / folder).mkdir()
        with pytest.raises(BaseModelError, match=reason):
            find_base(tmp_path, PARTS)

    def test_stable_diffusion_1_by_its_index(self, tiny_base: Path, tmp_path: Path) -> None:
        directory = Path(shutil.copytree(tiny_base, tmp_path / "base"))
        (directory / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
        assert find_base(directory, PARTS) == directory


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"text"'])
def test_json_that_is_not_an_object(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(BaseModelError, match=str(file)):
        read_json(file)
