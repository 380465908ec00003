"""What depends on whether a person watches: colours and progress bars."""

from __future__ import annotations

import os
import sys
from typing import Literal, TextIO

Colour = Literal["red", "yellow"]
_CODES: dict[Colour, int] = {"red": 31, "yellow": 33}


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours, and its user has not set ``NO_COLOR`` (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: Colour) -> str:
    """The text in a colour, for a stream that :func:`wants_colour`."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def shows_progress() -> bool:
    """Whether progress bars are wanted: they are for people at a terminal, not for log files."""
    return sys.stderr.isatty()
