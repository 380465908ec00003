"""What README.md and the other documents say must be what the code does."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generate_tables():
    spec = importlib.util.spec_from_file_location("generate_tables", ROOT / "docs" / "generate_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_those_of_the_code(generate_tables):
    pytest.importorskip("rclpy", reason="the topics' table needs ROS message types")
    readme = (ROOT / "README.md").read_text()
    assert generate_tables.with_tables(readme) == readme, "run: python docs/generate_tables.py"


def test_every_command_is_documented(generate_tables):
    table = generate_tables.commands_table()
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
