"""One fact that a check found, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from madm_core.terminal import Colour, coloured

Level = Literal["ok", "note", "warning", "error"]
_MARKS: dict[Level, str] = {"ok": "ok  ", "note": "note", "warning": "WARN", "error": "FAIL"}
_COLOURS: dict[Level, Colour] = {"warning": "yellow", "error": "red"}


@dataclass(frozen=True)
class Finding:
    """A fact.

    Args:
        subject: What was looked at, such as ``torch`` or ``/dev/shm``.
        level: ``ok``; ``note``: missing, but only some tasks need it; ``warning``: works badly; ``error``: cannot work.
        text: What was found, in one line.
        do: What mends it; empty when nothing has to be done.
    """

    subject: str
    level: Level
    text: str
    do: str = ""


def as_text(sections: dict[str, Sequence[Finding]], *, colour: bool = False) -> str:
    """All findings for people: a heading a section, a line a finding, and under it what to do.

    Args:
        sections: Title -> findings.
        colour: Colour the marks of warnings and errors.
    """
    lines: list[str] = []
    for title, findings in sections.items():
        lines.append(title)
        for finding in findings:
            mark = _MARKS[finding.level]
            if colour and finding.level in _COLOURS:
                mark = coloured(mark, _COLOURS[finding.level])
            lines.append(f"  {mark}  {finding.subject}: {finding.text}")
            if finding.do:
                lines.append(f"        -> {finding.do}")
        lines.append("")
    counts = {level: sum(f.level == level for fs in sections.values() for f in fs) for level in ("error", "warning")}
    lines.append(
        "nothing is wrong"
        if not any(counts.values())
        else f"{counts['error']} problem(s), {counts['warning']} warning(s): see the lines marked FAIL and WARN"
    )
    return "\n".join(lines)


def as_mapping(sections: dict[str, Sequence[Finding]]) -> dict[str, list[dict[str, Any]]]:
    """All findings for machines: a list of ``subject, level, text, do`` a section."""
    return {title: [asdict(finding) for finding in findings] for title, findings in sections.items()}


def worst(sections: dict[str, Sequence[Finding]]) -> Level:
    """The worst level of all findings."""
    order: list[Level] = ["ok", "note", "warning", "error"]
    return max((f.level for findings in sections.values() for f in findings), key=order.index, default="ok")
