"""Files that come with the package, by name and from any folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from madm_core import shipped_files
from madm_core.errors import ConfigError
from madm_core.model.base_files import find_base
from madm_core.model_directory import find_model_directory
from madm_core.shipped_files import BASES, MODELS, NODES, TRAININGS, config_file, shipped_directory, shipped_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("given", ["folder_to_bag", "folder_to_bag.yaml", "config/train/folder_to_bag.yaml"])
def test_a_shipped_configuration_by_name_or_path(given):
    assert config_file(given, TRAININGS) == ROOT / "config/train/folder_to_bag.yaml"


def test_the_file_on_disk_comes_first(tmp_path):
    (tmp_path / "folder_to_bag.yaml").touch()
    assert config_file("folder_to_bag.yaml", TRAININGS) == Path("folder_to_bag.yaml")
    assert config_file("folder_to_bag", TRAININGS) == ROOT / "config/train/folder_to_bag.yaml"


def test_what_is_nowhere_is_told_with_what_there_is():
    with pytest.raises(ConfigError, match=r"cannot read segment_sonar: .*segment_depth, segment_event"):
        config_file("segment_sonar", NODES)
    with pytest.raises(ConfigError):
        config_file("config/train/absent.yaml", TRAININGS)


def test_models_and_bases_are_found_where_they_are_asked_for():
    assert find_model_directory("street-depth") == ROOT / "demo/models/street-depth"
    assert find_model_directory("demo/models/street-depth") == ROOT / "demo/models/street-depth"
    assert find_base("demo/madm-street-base", ("unet", "vae")) == ROOT / "demo/madm-street-base"
    assert shipped_directory("madm-street-base", BASES) == ROOT / "demo/madm-street-base"
    assert shipped_directory("street-sonar", MODELS) is None


def test_an_installation_has_them_below_its_prefix(tmp_path, monkeypatch):
    module = tmp_path / "prefix/lib/python3/site-packages/madm_core/shipped_files.py"
    share = tmp_path / "prefix/share/madm_ros"
    share.mkdir(parents=True)
    monkeypatch.setattr(shipped_files, "__file__", str(module))
    assert shipped_folder() is None
    (share / "package.xml").touch()
    assert shipped_folder() == share


def test_what_ships_does_not_tell_where_it_was_made():
    files = [path for path in (ROOT / "demo").rglob("*.json") if "out" not in path.parts]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    assert len(texts) > 10
    assert not [path for path, text in texts.items() if "_name_or_path" in text or re.search(r'"/(?!["/])\w', text)]
