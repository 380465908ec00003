"""The package as colcon builds it for ``ros2 run`` and ``ros2 launch``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(path.stem for path in (ROOT / "madm_ros" / "commands").glob("*.py") if path.stem != "__init__")


@pytest.fixture(scope="module")
def install(source_copy, tmp_path_factory):
    colcon = Path(sys.executable).with_name("colcon")
    if not colcon.exists() and not shutil.which("colcon"):
        pytest.skip("colcon is not installed: pip install '.[dev]', or apt install python3-colcon-common-extensions")
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(source_copy, folder / "src" / "madm_ros")
    environment = {**os.environ, "AMENT_PREFIX_PATH": sys.prefix}
    built = subprocess.run(
        [str(colcon) if colcon.exists() else "colcon", "build"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "install" / "madm_ros"


@pytest.mark.parametrize("command", COMMANDS)
def test_ros2_run_finds_the_executable(install, command):
    assert os.access(install / "lib" / "madm_ros" / command, os.X_OK)


def test_an_executable_runs(install):
    site = next(install.glob("lib/python*/site-packages"))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    ran = subprocess.run(
        [install / "lib" / "madm_ros" / "train_street_base", "--version"],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout.startswith("madm_ros "), ran.stderr


def test_share_has_what_launch_and_rviz_read(install):
    share = install / "share" / "madm_ros"
    assert (share / "package.xml").is_file()
    assert (share.parent / "ament_index" / "resource_index" / "packages" / "madm_ros").is_file()
    for folder in ("launch", "config", "config/train", "demo/models/street-depth"):
        wanted = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
        assert wanted
        assert wanted <= {path.name for path in (share / folder).iterdir()}
