"""The configuration and the numbers of a distillation run, in its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from madm_core.config import read_yaml_mapping, to_mapping
from madm_core.errors import ConfigError
from madm_core.student.distillation_config import FREE_KEYS, DistillationConfig


def start_run(config: DistillationConfig) -> None:
    """Makes the folder of a new run and writes its configuration with every default filled in.

    Raises:
        ConfigError: There is a run already, or the folder cannot be made.
    """
    file = config.output / "config.yaml"
    if file.exists():
        raise ConfigError(
            f"there is a run in {config.output} already",
            do="give --resume to go on with it, or another output=DIRECTORY",
        )
    try:
        config.output.mkdir(parents=True, exist_ok=True)
        write_config(config)
    except OSError as error:
        raise ConfigError(f"cannot write to {config.output}", got=error, do="give another output=DIRECTORY") from error


def write_config(config: DistillationConfig) -> None:
    """Writes ``config.yaml`` at once: a run that is killed meanwhile keeps the old one."""
    unfinished = config.output / ".config.yaml.unfinished"
    unfinished.write_text(yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
    os.replace(unfinished, config.output / "config.yaml")


def check_unchanged(config: DistillationConfig) -> None:
    """Compares a configuration with the one that the run was started with.

    Raises:
        ConfigError: There is no run, or a key differs that touches what is learnt.
    """
    file = config.output / "config.yaml"
    if not file.exists():
        raise ConfigError(f"there is no run in {config.output} to resume", do="leave out --resume to start one")
    old, new = read_yaml_mapping(file), _plain(config)
    changes = [
        f"{key}: {old.get(key)!r} -> {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key not in FREE_KEYS
    ]
    if changes:
        raise ConfigError(
            f"the configuration differs from that of the run in {config.output}",
            got="; ".join(changes),
            do="restore it, or start another run with output=DIRECTORY",
        )


def resume_advice(output: Path) -> str:
    """The words that tell how to go on with a stopped run."""
    return f"distill --config {output / 'config.yaml'} --resume"


def _plain(config: DistillationConfig) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(json.dumps(to_mapping(config)))
    return fields
