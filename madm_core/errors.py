"""Errors that tell the user what was got, what was expected and what to do.

Every error that can reach a user derives from :class:`MadmError`, so that a command or a node can tell "the input is
wrong" (report it, go on) from "the program is wrong" (a bug; let it be seen).
"""

from __future__ import annotations

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 4
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = 50
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 500
_LONGEST = 2000


def shown(value: object) -> str:
    """``str(value)`` of a size that a person can read: a hostile file may hold what would fill the memory as text."""
    text = _SHORT.repr(value) if isinstance(value, (dict, list, tuple, set, frozenset)) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


class MadmError(Exception):
    """A problem that the user can solve.

    Args:
        what: One clause naming the thing that is wrong, without a final full stop.
        got: What was found.
        expected: What would have been accepted.
        do: The action that mends it.

    ``str(error)`` joins the parts that were given: ``"what: got G; expected E. D"``.
    """

    def __init__(self, what: str, *, got: object = None, expected: object = None, do: str | None = None) -> None:
        self.what = what
        self.got = got
        self.expected = expected
        self.do = do
        found = [
            f"{word} {shown(value)}" for word, value in (("got", got), ("expected", expected)) if value is not None
        ]
        message = what + (": " + "; ".join(found) if found else "")
        if do:
            message += ". " + do[0].upper() + do[1:]
        super().__init__(message)


class InvalidInputError(MadmError, ValueError):
    """Sensor data (an array, an image, a message) that cannot be used.

    Args:
        reason: A short stable slug (``"encoding"``, ``"step"``, ``"size"``, ...), by which a node counts rejections.
    """

    def __init__(
        self, what: str, *, reason: str, got: object = None, expected: object = None, do: str | None = None
    ) -> None:
        super().__init__(what, got=got, expected=expected, do=do)
        self.reason = reason


class ConfigError(MadmError, ValueError):
    """A configuration file or a ``key=value`` override that cannot be used."""


class ModelDirectoryError(MadmError):
    """A model directory that is missing, corrupt, truncated or of a newer format."""


class BaseModelError(MadmError):
    """A Stable Diffusion base that is missing, incomplete or of a family that MADM does not support."""


class CheckpointError(MadmError):
    """A checkpoint file that is missing, corrupt or of another architecture."""


class DataError(MadmError):
    """A data set, bag or file on disk that cannot be used."""


class WorkError(MadmError):
    """The input could be used, but the work failed on its way."""


class DeviceError(MadmError, RuntimeError):
    """A compute device that was asked for and is not there, or that ran out of memory."""


class MissingDependencyError(MadmError, ImportError):
    """An optional package that this operation needs and that is not installed."""
