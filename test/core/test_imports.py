"""What importing the library loads, seen from a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "madm_core").rglob("*.py")
)


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_madm_core_loads_no_ros_and_is_quick():
    run("import madm_core, sys; assert 'rclpy' not in sys.modules; assert 'torch' not in sys.modules")


def test_no_module_of_madm_core_loads_ros():
    modules = ", ".join(MODULES)
    run(f"import {modules}, sys; assert not {{'rclpy', 'sensor_msgs', 'std_msgs', 'madm_ros'}} & set(sys.modules)")


@pytest.mark.parametrize("module", [name for name in MODULES if name.count(".") == 1])
def test_every_part_can_be_imported_first(module):
    """Circular imports show only when the wrong module comes first."""
    run(f"import {module}")


def test_the_public_names():
    run("from madm_core import LabelSet, Segmenter; assert LabelSet.named('madm11') and Segmenter.from_pretrained")
    run("import madm_core; assert not hasattr(madm_core, 'Segmentor')")
