"""How far a long work is and how long it will take: a bar on a terminal, a line a minute in a log file."""

from __future__ import annotations

import io
import logging
import math
from typing import NoReturn

from tqdm import tqdm

from madm_core.terminal import shows_progress

logger = logging.getLogger(__name__)

_LOG_EVERY_S = 60.0


def progress_bar(unit: str, total: int | None = None) -> tqdm[NoReturn]:
    """A bar that also tells the time that is left; where nobody watches, lines in the log.

    Args:
        unit: What is counted, in the plural.
        total: How many there will be; None: unknown.
    """
    if shows_progress():
        return tqdm(total=total, unit=f" {unit}", dynamic_ncols=True, disable=False)
    return LoggedProgress(unit, total)


class LoggedProgress(tqdm):  # type: ignore[type-arg]  # not subscriptable when the program runs
    """A bar that is drawn as a line in the log once in a while; work that ends before says nothing.

    Args:
        unit: What is counted, in the plural.
        total: How many there will be; None: unknown.
        every_s: Seconds between two lines.
    """

    def __init__(self, unit: str, total: int | None = None, every_s: float = _LOG_EVERY_S) -> None:
        self._every_s = every_s
        super().__init__(
            total=total, unit=unit, mininterval=every_s, maxinterval=math.inf, file=io.StringIO(), disable=False
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Writes the line, in place of tqdm's drawing."""
        state = self.format_dict
        done, total, elapsed = state["n"], state["total"], state["elapsed"]
        if not done or elapsed < self._every_s or done == total:
            return
        if total:
            left = duration((total - done) * elapsed / done)
            logger.info("%d of %d %s done, about %s left", done, total, self.unit, left)
        else:
            logger.info("%d %s done", done, self.unit)


def duration(seconds: float) -> str:
    """Seconds for people: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 129600 else f"{seconds / 86400:.1f} days"
