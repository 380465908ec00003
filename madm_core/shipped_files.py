"""The configurations and models that come with this package, wherever it was installed.

A checkout has them in ``config/`` and ``demo/``; an installation (pip, colcon or apt) has the same folders in
``share/madm_ros`` below its prefix. Commands therefore take such a file by its name, or by its path in the checkout as
the documents write it, from any working directory. What is on disk under the given path always comes first.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

from madm_core.errors import ConfigError

logger = logging.getLogger(__name__)

TRAININGS, NODES, MODELS, BASES = "config/train", "config", "demo/models", "demo"
"""Folders with shipped files: configurations of trainings, parameter files of nodes, model directories, bases."""


def shipped_folder() -> Path | None:
    """The folder that holds ``config`` and ``demo``; None where this package was installed without its data."""
    packages = Path(__file__).resolve().parent.parent
    shares = [folder / "share" / "madm_ros" for folder in packages.parents]
    return next((folder for folder in (packages, *shares) if (folder / "package.xml").is_file()), None)


def shipped_names(folder: str) -> list[str]:
    """The names of the YAML files that come in :data:`TRAININGS` or :data:`NODES`, without suffix."""
    root = shipped_folder()
    return sorted(path.stem for path in (root / folder).glob("*.yaml")) if root is not None else []


def shipped_directory(given: str | Path, folder: str) -> Path | None:
    """The shipped directory that is meant by ``given``, in :data:`MODELS` or :data:`BASES`; None: none is."""
    return _shipped(Path(given), folder, suffix="")


def config_file(given: str | Path, folder: str) -> Path:
    """The YAML file that a user means: the one on disk, else the shipped one.

    Args:
        given: A path, or the name of a shipped file with or without ``.yaml``.
        folder: Where shipped ones are: :data:`TRAININGS` or :data:`NODES`.

    Raises:
        ConfigError: There is neither; the shipped ones are listed.
    """
    path = Path(given).expanduser()
    found = path if path.exists() else _shipped(path, folder, suffix=".yaml")
    if found is None:
        shipped = ", ".join(shipped_names(folder)) or "none with this installation"
        raise ConfigError(
            f"cannot read {given}", got="no such file", expected=f"a YAML file, or the name of a shipped one: {shipped}"
        )
    return found


@functools.cache  # a process says once what it takes
def _shipped(given: Path, folder: str, suffix: str) -> Path | None:
    root = shipped_folder()
    if root is None or not given.parts:
        return None
    if len(given.parts) == 1:
        places = [root / folder / given.name, root / folder / f"{given.name}{suffix}"]
    else:
        places = [root / given] if given.parts[0] in ("config", "demo") else []
    found = next((place for place in places if place.exists()), None)
    if found is not None:
        logger.info("%s is the one that comes with madm_ros: %s", given, found)
    return found
