"""Writes the README's tables from the code: python docs/generate_tables.py (a test checks that they are up to date)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def commands_table() -> str:
    """Markdown table of the commands: the first sentence of each module's docstring."""
    rows = ["| command | what it does |", "|---|---|"]
    for path in sorted((ROOT / "madm_ros" / "commands").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if path.stem == "__init__" or not text:
            continue
        first = text.split("\n\n")[0].replace("\n", " ").removeprefix(f"``{path.stem}``: ")
        rows.append(f"| `{path.stem}` | {first[0].upper() + first[1:]} |")
    return "\n".join(rows)


def with_tables(readme: str) -> str:
    """The README's text with every generated section filled anew."""
    from madm_ros.parameters import parameters_table
    from madm_ros.publishers import topics_table

    for name, table in (
        ("commands", commands_table()),
        ("topics", topics_table()),
        ("parameters", parameters_table()),
    ):
        section = f"<!-- {name} -->\n{table.strip()}\n<!-- /{name} -->"
        readme, found = re.subn(
            f"<!-- {name} -->.*?<!-- /{name} -->", lambda _, section=section: section, readme, flags=re.DOTALL
        )
        if found != 1:
            raise SystemExit(f"README.md must have the section <!-- {name} --> exactly once, found {found}")
    return readme


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")
