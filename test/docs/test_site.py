"""The documentation builds as a site without a warning: every page in the navigation, every link and docstring good."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from madm_core.adaptation.method import Method
from madm_core.adaptation.training_config import EngineConfig, TrainingConfig
from madm_core.data.bag_frames import BagConfig
from madm_core.student.distillation_config import DistillationConfig

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def page(site: Path, name: str) -> str:
    return (site / name / "index.html").read_text(encoding="utf-8")


def test_it_builds_strictly(site):
    assert "Tutorials" in (site / "index.html").read_text(encoding="utf-8")


def test_the_reference_shows_the_public_interface_with_its_docstrings(site):
    python = page(site, "reference/python")
    for name in ("from_pretrained", "LabelSet", "voxel_grid", "open_events", "score_bag", "DeviceError"):
        assert name in python
    assert "where there was no valid measurement" in python
    assert not re.search(r":(class|meth|attr|func):", python)


def test_every_key_of_the_configuration_has_a_description(site):
    configuration = page(site, "reference/configuration")
    for kind in (TrainingConfig, EngineConfig, Method, DistillationConfig, BagConfig):
        for field in dataclasses.fields(kind):
            rows = re.findall(rf"<td>\s*<code>{field.name}</code>.*?</tr>", configuration, flags=re.DOTALL)
            assert rows, f"{kind.__name__}.{field.name}"
            for row in rows:
                assert re.search(r'doc-md-description">\s*<p>\s*\S', row), f"{kind.__name__}.{field.name}"


def test_links_to_other_sites_are_listed(site):
    lines = (site / "external_links.txt").read_text(encoding="utf-8").splitlines()
    assert any("semantic_segmentation_layer" in line and "how_to/nav2.md" in line for line in lines)
