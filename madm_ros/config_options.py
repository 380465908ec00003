"""Options that name a configuration file: of the user, or one that comes with this package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

from madm_core.config import load_config
from madm_core.shipped_files import TRAININGS, config_file, shipped_names

ConfigT = TypeVar("ConfigT")


def add_config_options(options: argparse.ArgumentParser, shipped_example: str) -> None:
    """Adds ``--config`` and the overrides.

    Args:
        options: The command's parser.
        shipped_example: The shipped configuration that the help text names.
    """
    config = options.add_argument(
        "--config", type=Path, required=True, metavar="FILE",
        help=f"YAML file, or the name of one that comes with madm_ros, such as {shipped_example}",
    )  # fmt: skip
    complete_shipped(config, TRAININGS)
    options.add_argument("overrides", nargs="*", metavar="key=value", help="values that win over the file")


def read_config(config_class: type[ConfigT], chosen: argparse.Namespace) -> ConfigT:
    """The configuration that the options of :func:`add_config_options` name.

    Raises:
        ConfigError: The file is not there, or it or an override cannot be used.
    """
    return load_config(config_class, config_file(chosen.config, TRAININGS), chosen.overrides)


def complete_shipped(option: argparse.Action, folder: str) -> None:
    """Lets a shell complete an option to the YAML files of this folder and to the names of those in ``folder``."""

    def complete(prefix: str, **_: object) -> list[str]:  # argcomplete tells more than it needs
        from argcomplete.completers import FilesCompleter

        return [*shipped_names(folder), *FilesCompleter(("yaml", "yml"))(prefix)]

    option.completer = complete  # type: ignore[attr-defined]  # argcomplete looks for it
