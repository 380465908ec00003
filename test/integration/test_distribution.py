"""The source distribution and the wheel: what is in them, and that they work where there is no checkout."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from madm_core import __version__

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(path.stem for path in (ROOT / "madm_ros" / "commands").glob("*.py") if path.stem != "__init__")
LARGEST = 100 * 1000**2
"""Bytes: what PyPI takes of a project that has asked for nothing."""

ROSDEP_KEYS = {
    "argcomplete": "python3-argcomplete",
    "jinja2": "python3-jinja2",
    "numpy": "python3-numpy",
    "opencv-python-headless": "python3-opencv",
    "packaging": "python3-packaging",
    "pillow": "python3-pil",
    "pyyaml": "python3-yaml",
    "setuptools": "python3-setuptools",
    "tqdm": "python3-tqdm",
    "typing-extensions": "python3-typing-extensions",
}
"""Requirements of the wheel that apt has, too; the documents tell to install the others with pip."""


def run(command: list[str | Path], folder: Path, **environment: str) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source_distribution(source_copy, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("dist")
    run([sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", output], source_copy)
    (made,) = output.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(source_distribution, tmp_path_factory) -> Path:
    """Made of the source distribution, so that one that lacks a file makes no complete wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(source_distribution) as archive:
        archive.extractall(folder, filter="data")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*build, "--wheel-dir", folder, folder / f"madm_ros-{__version__}"], folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def description(wheel) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"madm_ros-{__version__}.dist-info/METADATA").decode())


def test_the_wheel_has_the_packages_and_nothing_of_the_workshop(wheel, names):
    shared = f"madm_ros-{__version__}.data/data/share/"
    information = f"madm_ros-{__version__}.dist-info/"
    assert {name.partition("/")[0] + "/" for name in names} == {
        "madm_core/",
        "madm_ros/",
        shared.split("/")[0] + "/",
        information,
    }
    assert not [name for name in names if re.search(r"(^|/)(test|tests|benchmarks|docs)/|\.pyc$|egg-info", name)]
    python = {
        path.relative_to(ROOT).as_posix()
        for package in ("madm_core", "madm_ros")
        for path in (ROOT / package).rglob("*.py")
    }
    assert python <= names
    page = {f"madm_core/evaluation/page/{name}" for name in ("report.html", "report.css", "report.js")}
    assert {"madm_core/py.typed", *page} <= names
    assert wheel.stat().st_size < LARGEST


@pytest.mark.parametrize("folder", ["launch", "config", "demo/models", "demo/madm-street-base"])
def test_the_wheel_has_what_ros_and_the_commands_read(names, folder):
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
    wanted = {name for name in wanted if not name.endswith(".pyc")}
    assert wanted
    share = f"madm_ros-{__version__}.data/data/share"
    assert {f"{share}/madm_ros/{name}" for name in wanted} <= names
    assert f"{share}/ament_index/resource_index/packages/madm_ros" in names


def test_every_command_is_an_executable(wheel):
    points = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        points.read_string(archive.read(f"madm_ros-{__version__}.dist-info/entry_points.txt").decode())
    assert dict(points["console_scripts"]) == {name: f"madm_ros.commands.{name}:main" for name in COMMANDS}


def test_what_it_requires_is_said_to_ros_users_too(description):
    required = {
        re.match(r"[\w.-]+", line).group().lower().replace("_", "-")
        for line in description.get_all("Requires-Dist")
        if "extra ==" not in line
    }
    keys = set(re.findall("<exec_depend>(python3-.*?)</exec_depend>", (ROOT / "package.xml").read_text()))
    assert keys == {ROSDEP_KEYS[name] for name in required if name in ROSDEP_KEYS}
    from_pip = required - set(ROSDEP_KEYS)
    for document in ("docs/how_to/apt_ros.md", "docker/Dockerfile"):
        commands = re.findall(r"pip install .*?(?:[^\\]\n)", (ROOT / document).read_text(), flags=re.DOTALL)
        told = max(
            (set(command.lower().replace("_", "-").split()) for command in commands),
            key=lambda words: len(words & from_pip),
        )
        assert from_pip <= told, f"{document} leaves out {from_pip - told}"


@pytest.mark.filterwarnings("ignore:nodes.Node.traverse:DeprecationWarning")  # catkin_pkg calls it of docutils
def test_versions_agree_and_bloom_can_read_the_package(source_distribution):
    package = pytest.importorskip(
        "catkin_pkg.package", reason="pip install '.[dev]', or apt install python3-catkin-pkg"
    )
    changelog = pytest.importorskip("catkin_pkg.changelog")
    warnings: list[str] = []
    parsed = package.parse_package(ROOT / "package.xml", warnings=warnings)
    parsed.validate(warnings=warnings)
    assert not warnings and parsed.version == __version__
    assert (parsed.licenses, parsed.get_build_type()) == (["Apache-2.0"], "ament_python")
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()
    # What catkin_prepare_release makes of it.
    text = (
        (ROOT / "CHANGELOG.rst")
        .read_text()
        .replace("Forthcoming\n-----------", "0.1.0 (2026-11-26)\n------------------")
    )
    log = changelog.populate_changelog_from_rst(changelog.Changelog("madm_ros"), text)
    ((version, date, (entries,)),) = log.foreach_version()
    assert (version, str(date)[:10]) == ("0.1.0", "2026-11-26") and len(entries.bullets) > 10
    assert source_distribution.name == f"madm_ros-{__version__}.tar.gz"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """An installation in a prefix of its own, and the environment in which Python takes the packages from there."""
    prefix = tmp_path_factory.mktemp("prefix")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", "--no-compile"]
    run([*install, "--prefix", prefix, wheel], prefix)
    (packages,) = prefix.glob("l*/python3*/*-packages")
    return prefix, {"PYTHONPATH": str(packages)}


@pytest.mark.timeout(600)
def test_an_installation_needs_no_checkout(installed, tmp_path):
    prefix, environment = installed
    program = (
        "from madm_core.shipped_files import BASES, TRAININGS, config_file, shipped_directory as directory; "
        "print(directory.__code__.co_filename, config_file('folder_to_bag', TRAININGS)); "
        "print(directory('madm-street-base', BASES))"
    )
    found = run([sys.executable, "-c", program], tmp_path, **environment).split()
    assert len(found) == 3 and all(path.startswith(str(prefix)) for path in found)
    assert run([prefix / "bin" / "segment", "--version"], tmp_path, **environment) == f"madm_ros {__version__}\n"
    # A shipped model on a bag of its own.
    pytest.importorskip("embreex", reason="the extra streetworld is not installed: pip install '.[streetworld]'")
    street = [prefix / "bin" / "street_world", "--modality", "depth", "--seed", "4242", "--rate", "1"]
    made = json.loads(run([*street, "--duration", "1", "--write-bag", "bag", "--json"], tmp_path, **environment))
    assert made["results"] == ["bag"]
    topics = ["--topic", "/street/depth/image_raw", "--label-topic", "/street/labels"]
    score = [prefix / "bin" / "evaluate_bag", "bag", "--model", "street-depth", *topics, "--output", "report", "--json"]
    scored = json.loads(run(score, tmp_path, **environment))
    assert scored["facts"]["frames_scored"] == 1 and scored["facts"]["mean_iou"]["native"] > 0.1
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"frames.npz", "metrics.json", "report.html"}
