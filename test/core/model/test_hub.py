"""What counts as a hub id, and when the local cache is enough."""

from collections.abc import Callable
from pathlib import Path

import pytest

from madm_core.errors import BaseModelError
from madm_core.model.hub import cached_or_downloaded, looks_like_hub_id


@pytest.mark.parametrize("name", ["CompVis/stable-diffusion-v1-4", "somebody/madm.depth", "a/b_c"])
def test_hub_ids(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert looks_like_hub_id(name)
    assert not looks_like_hub_id(Path(name))  # who gives a path means a path
    (tmp_path / name.split("/")[0]).mkdir()
    assert not looks_like_hub_id(name)


@pytest.mark.parametrize("name", ["model", "/srv/model", "./model", "../model", "~/model", "a/b/c", "a/", "", "a/ b"])
def test_paths(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not looks_like_hub_id(name)


class TestLocalCache:
    NEEDED = ("config.json", "weights/*.bin")

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        source = tmp_path / "source"
        (source / "weights").mkdir(parents=True)
        for name in ("config.json", "weights/1.bin", "weights/2.bin", "weights/2.fp16.bin"):
            (source / name).write_text(name)
        return source

    @pytest.mark.parametrize("listed", [True, False])
    def test_is_used_although_other_files_were_never_downloaded(
        self, hub_cache: Callable[..., Path], source: Path, listed: bool
    ) -> None:
        snapshot = hub_cache("robots/model", source, ["weights/2.fp16.bin"], listed=listed)
        found = cached_or_downloaded("robots/model", self.NEEDED, lambda _: True, ["*.fp16.*"])
        assert found == snapshot
        assert (found / "weights" / "1.bin").read_text() == "weights/1.bin"

    def test_lacks_a_file_after_an_interrupted_download(self, hub_cache: Callable[..., Path], source: Path) -> None:
        hub_cache("robots/model", source, ["weights/2.bin"])
        with pytest.raises(BaseModelError, match="not in the local cache"):
            cached_or_downloaded("robots/model", self.NEEDED, lambda _: True)

    @pytest.mark.parametrize("listed", [True, False])
    def test_is_not_what_the_caller_needs(self, hub_cache: Callable[..., Path], source: Path, listed: bool) -> None:
        hub_cache("robots/model", source, listed=listed)
        with pytest.raises(BaseModelError, match="not in the local cache"):
            cached_or_downloaded("robots/model", self.NEEDED, lambda found: (found / "vocab.json").exists())
