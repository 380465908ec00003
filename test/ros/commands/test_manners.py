"""What every command does alike: help, version, exit codes, messages, completion."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from madm_core import __version__
from madm_ros import commands
from madm_ros.ros_arguments import split_ros_arguments

NAMES = sorted(path.stem for path in Path(commands.__path__[0]).glob("*.py") if path.stem != "__init__")
SLOW = ("torch", "numpy", "cv2", "rclpy", "transformers", "diffusers", "accelerate", "numba", "matplotlib", "rosbags")

# What each command cannot use: a value that it has to look at, not an option that argparse refuses.
UNUSABLE = {
    "check_data": ["--config", "absent"],
    "distill": ["--config", "absent"],
    "evaluate_bag": ["absent.mcap", "--model", "absent"],
    "evaluate_dataset": ["--model", "absent", "--data", "holiday_pictures"],
    "export_model": ["--model", "absent", "--format", "onnx", "--output", "out"],
    "import_checkpoint": ["--checkpoint", "a.pth", "--base", "absent", "--modality", "sonar", "--output", "out"],
    "replay_bag": ["absent"],
    "segment": ["--params-file", "absent"],
    "street_world": ["--size", "large"],
    "train_adapt": ["--config", "absent"],
    "train_street_base": ["--output", "out", "pictues=2"],
}
WITHOUT_JSON = {"replay_bag", "segment"}


def command(name: str) -> ModuleType:
    return importlib.import_module(f"madm_ros.commands.{name}")


def run(name: str, *words: str) -> int:
    """The exit code of a command, whether it returns or argparse leaves with it."""
    try:
        return int(command(name).main(list(words)))
    except SystemExit as leaving:
        return int(leaving.code or 0)


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, monkeypatch):
    """Commands run in an empty folder, which a refused one leaves empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


def test_the_table_knows_every_command():
    assert set(NAMES) == {*UNUSABLE, "doctor"}, "doctor has no argument that it cannot look at"


@pytest.mark.parametrize("name", NAMES)
def test_help(name, capsys):
    assert run(name, "--help") == 0
    printed, errors = capsys.readouterr()
    assert printed.startswith(f"usage: {name} ") and not errors
    for part in ("examples:\n", "exit codes: 0 ", "--version", "--debug"):
        assert part in printed
    assert ("--json" in printed) == (name not in WITHOUT_JSON)
    assert "\x1b" not in printed


@pytest.mark.parametrize("name", NAMES)
def test_version(name, capsys):
    assert run(name, "--version") == 0
    assert capsys.readouterr().out == f"madm_ros {__version__}\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_command_lines(name):
    examples = command(name).parser().epilog.partition("\n\n")[0].replace("\\\n", " ").splitlines()[1:]
    assert examples
    for example in examples:
        words = shlex.split(example, comments=True)
        module = f"madm_ros.commands.{name}"  # after the words of a launcher
        own = words[words.index(module) :] if module in words else words
        assert own[0] in (name, module)
        command(name).parser().parse_intermixed_args(split_ros_arguments(without_redirection(own[1:]))[0])


def without_redirection(words: Sequence[str]) -> list[str]:
    return list(words[: words.index(">")] if ">" in words else words)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option(name, capsys):
    assert run(name, "--no-such-option") == 2
    printed, errors = capsys.readouterr()
    assert not printed and "error: " in errors and "Traceback" not in errors


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_input(name, capfd):
    assert run(name, *UNUSABLE[name]) == 2
    printed, errors = capfd.readouterr()
    assert not printed and "Traceback" not in errors
    assert [line.startswith("error: ") for line in errors.splitlines()].count(True) == 1
    assert "\x1b" not in errors

    assert run(name, "--debug", *UNUSABLE[name]) == 2
    assert "Traceback" in capfd.readouterr().err

    if name not in WITHOUT_JSON:
        assert run(name, "--json", *UNUSABLE[name]) == 2
        printed, errors = capfd.readouterr()
        answer = json.loads(printed)
        assert (answer["command"], answer["exit_code"]) == (name, 2)
        assert f"error: {answer['error']}\n" in errors


def test_help_waits_for_no_library():
    program = (
        "import contextlib, importlib, io, sys\n"
        f"for name in {NAMES}:\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "        importlib.import_module(f'madm_ros.commands.{name}').main(['--help'])\n"
        f"print(*sorted(set({SLOW}) & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        *((f"{name} --debu", {"--debug"}) for name in NAMES),
        ("train_adapt --config streetworld_d", {"streetworld_depth"}),
        ("segment --params-file segment_th", {"segment_thermal"}),
        ("evaluate_bag --protocol n", {"native"}),
    ],
)
def test_a_shell_completes(line, expected, tmp_path_factory):
    answer = tmp_path_factory.mktemp("completion") / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    module = f"madm_ros.commands.{line.split()[0]}"
    environment = {**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    subprocess.run([sys.executable, "-m", module], env=environment, check=True, capture_output=True)
    assert {word.strip() for word in answer.read_text().splitlines()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_global_completion_finds_the_command(name):
    text = Path(command(name).__file__).read_text(encoding="utf-8")
    assert "PYTHON_ARGCOMPLETE_OK" in text[:1024], "argcomplete looks for this word before it runs a program"
