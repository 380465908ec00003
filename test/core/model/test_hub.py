"""What counts as a hub id."""

from pathlib import Path

import pytest

from madm_core.model.hub import looks_like_hub_id


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
