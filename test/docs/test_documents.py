"""What README.md and the other documents say must be what the code does."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_generator():
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs" / "generate_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


@pytest.mark.parametrize("file", GENERATOR.FILES)
def test_generated_sections_are_those_of_the_code(file):
    pytest.importorskip("rclpy", reason="the topics' table needs ROS message types")
    assert GENERATOR.filled(file) == (ROOT / file).read_text(), "run: python docs/generate_reference.py"


def test_every_command_is_documented():
    table = GENERATOR.commands_table()
    commands = {path.stem for path in (ROOT / "madm_ros" / "commands").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"^\| `(\w+)`", table, flags=re.MULTILINE)) == commands


@pytest.mark.parametrize(
    "document", [path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]]
)
def test_local_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (ROOT / document).parent.joinpath(target).exists(), f"{document}: {target}"
