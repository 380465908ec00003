"""Fills the generated sections of README.md and docs/reference from the code: python docs/generate_reference.py

A test checks that they are up to date.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent


def commands_table() -> str:
    """Markdown table of the commands: the first sentence of each module's docstring."""
    rows = ["| command | what it does |", "|---|---|"]
    for name in command_names():
        text = ast.get_docstring(ast.parse((ROOT / f"madm_ros/commands/{name}.py").read_text(encoding="utf-8")))
        if not text:
            continue
        first = text.split("\n\n")[0].replace("\n", " ").removeprefix(f"``{name}``: ")
        rows.append(f"| `{name}` | {first[0].upper() + first[1:]} |")
    return "\n".join(rows)


def command_names() -> list[str]:
    """Every executable."""
    return sorted(path.stem for path in (ROOT / "madm_ros" / "commands").glob("*.py") if path.stem != "__init__")


def commands_help() -> str:
    """``--help`` of every command, a heading each."""
    sections = []
    for name in command_names():
        command = importlib.import_module(f"madm_ros.commands.{name}")
        text = io.StringIO()
        with (
            mock.patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1"}),
            contextlib.redirect_stdout(text),
            contextlib.suppress(SystemExit),
        ):
            command.main(["--help"])
        sections.append(f"## {name}\n\n```text\n{text.getvalue().strip()}\n```")
    return "\n\n".join(sections)


def topics_table() -> str:
    """Markdown table of the node's topics."""
    from madm_ros import publishers

    return publishers.topics_table()


def parameters_table() -> str:
    """Markdown table of the node's parameters."""
    from madm_ros import parameters

    return parameters.parameters_table()


SECTIONS: dict[str, Callable[[], str]] = {
    "commands": commands_table,
    "topics": topics_table,
    "parameters": parameters_table,
    "help": commands_help,
}
FILES = {
    "README.md": ("commands", "topics"),
    "docs/reference/ros_interface.md": ("topics", "parameters"),
    "docs/reference/commands.md": ("help",),
}


def filled(file: str) -> str:
    """A file's text with every generated section filled anew."""
    text = (ROOT / file).read_text(encoding="utf-8")
    for name in FILES[file]:
        section = f"<!-- {name} -->\n{SECTIONS[name]().strip()}\n<!-- /{name} -->"
        text, found = re.subn(
            f"<!-- {name} -->.*?<!-- /{name} -->", lambda _, section=section: section, text, flags=re.DOTALL
        )
        if found != 1:
            raise SystemExit(f"{file} must have the section <!-- {name} --> exactly once, found {found}")
    return text


if __name__ == "__main__":
    for file in FILES:
        (ROOT / file).write_text(filled(file), encoding="utf-8")
