"""What README.md and the other documents say must be what the code does."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [path.relative_to(ROOT).as_posix() for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])]


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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_local_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (ROOT / document).parent.joinpath(target).exists(), f"{document}: {target}"


def code_lines(document: str) -> list[str]:
    """Lines of fenced and indented code, continued ones joined, comments cut off."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    fenced = [block for language, block in blocks if language in ("", "bash", "text")]
    indented = re.findall(r"^    (?! )(.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", "\n".join([*fenced, *indented]))
    return [re.split(r"\s#|\s--ros-args", line)[0].strip() for line in joined.splitlines()]


def known_options() -> dict[str, set[str]]:
    """Options of each command, from the generated reference, which another test holds to the code."""
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    return {name: set(re.findall(r"--[a-z][a-z-]*", body.split("examples:")[0])) for name, body in sections}


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "docs/reference/commands.md"])
def test_commands_in_documents_have_the_options_that_are_named(document):
    options = known_options()
    names = "|".join(options)
    for line in code_lines(document):
        call = re.match(rf"(?:ros2 run madm_ros |.*-m madm_ros\.commands\.)?({names})\s+(.*)", line)
        if call:
            unknown = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", call[2])) - options[call[1]]
            assert not unknown, f"{document}: {line}"


def test_commands_are_found_in_the_documents():
    assert "evaluate_dataset" in "\n".join(code_lines("docs/evaluation.md"))
    assert "--plan-only" in known_options()["train_adapt"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_launch_arguments_in_documents_exist(document):
    for line in code_lines(document):
        call = re.match(r"ros2 launch madm_ros (\w+\.launch\.py)(.*)", line)
        if call:
            declared = set(re.findall(r'^    "(\w+)": \(', (ROOT / "launch" / call[1]).read_text(), flags=re.MULTILINE))
            assert declared
            assert set(re.findall(r"(\w+):=", call[2])) <= declared, f"{document}: {line}"


def test_the_smallest_modality_of_the_architecture_page_works():
    from madm_core.modalities.base import Modality

    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    block = re.search(r"^    ```python\n(.*?)^    ```", text, flags=re.DOTALL | re.MULTILINE)
    assert block
    namespace = {"__name__": "sonar"}
    exec(re.sub(r"^    ", "", block[1], flags=re.MULTILINE), namespace)
    modality = namespace["SonarModality"](full_scale=100.0)
    assert isinstance(modality, Modality)
    encoded = modality.encode(np.array([[0, 50], [100, 200]], np.uint16))
    np.testing.assert_allclose(encoded.image[..., 1], [[0, 0.5], [1, 1]])
    assert encoded.valid.tolist() == [[False, True], [True, True]]
    assert modality.to_dict() == {"name": "sonar", "full_scale": 100.0}
