"""The folder of a run: what is where, and the log of its numbers."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import yaml

from madm_core.config import read_yaml_mapping
from madm_core.errors import CheckpointError, ConfigError


class RunConfig(Protocol):
    """The configuration of a run of any kind.

    Attributes:
        FREE_KEYS: Keys (``section.key``) that may change on resume: they do not touch what is learnt.
    """

    FREE_KEYS: ClassVar[frozenset[str]]

    def spelt_out(self) -> dict[str, Any]:
        """Every key with its value, defaults filled in, as YAML holds them."""


class RunDirectory:
    """Paths of a run.

    Args:
        path: The folder; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.yaml"
        self.metrics_file = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.previews = path / "previews"
        self.tensorboard = path / "tensorboard"
        self.bad_batches = path / "bad_batches"
        self.model = path / "model"

    def start(self, config: RunConfig) -> None:
        """Makes the folder of a new run and writes its resolved configuration.

        Raises:
            ConfigError: There is a run already, or the folder cannot be made.
        """
        if self.config_file.exists():
            raise ConfigError(
                f"there is a run in {self.path} already",
                do="give --resume to go on with it, or another output=DIRECTORY",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_config(config)
        except OSError as error:
            raise ConfigError(f"cannot write to {self.path}", got=error, do="give another output=DIRECTORY") from error

    def write_config(self, config: RunConfig) -> None:
        """Writes the configuration with every default filled in."""
        text = yaml.safe_dump(config.spelt_out(), sort_keys=False, allow_unicode=True)
        _replace(self.config_file, text)

    def check_unchanged(
        self,
        config: RunConfig,
        *,
        allow_change: bool,
        do: str = "restore it, or give --allow-config-change if this is meant",
    ) -> list[str]:
        """Compares a configuration with the one that the run was started with.

        Args:
            config: What the run would go on with.
            allow_change: Do not raise for a difference.
            do: The error's advice.

        Returns:
            The differences, one line each, ``key: old -> new``.

        Raises:
            ConfigError: There is no run, or the configuration differs and ``allow_change`` is False.
        """
        if not self.config_file.exists():
            raise ConfigError(f"there is no run in {self.path} to resume", do="leave out --resume to start one")
        old, new = _flat(read_yaml_mapping(self.config_file)), _flat(config.spelt_out())
        changes = [
            f"{key}: {old.get(key)!r} -> {new.get(key)!r}"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key) and key not in config.FREE_KEYS
        ]
        if changes and not allow_change:
            raise ConfigError(
                f"the configuration differs from that of the run in {self.path}",
                got="; ".join(changes),
                do=do,
            )
        return changes

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Appends one line of numbers to ``metrics.jsonl``; what is not finite is written as null.

        Raises:
            CheckpointError: It cannot be written (a full disk, say).
        """
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        try:
            with self.metrics_file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": step, **finite}) + "\n")
        except OSError as error:
            raise CheckpointError(
                f"cannot write {self.metrics_file}",
                got=error.strerror,
                do="free some space on the disk; the run goes on from its last checkpoint with --resume",
            ) from error

    def forget_after(self, step: int) -> None:
        """Takes out the lines of steps after ``step``: a resumed run writes them again. Half-written lines go too."""
        if not self.metrics_file.exists():
            return
        kept = []
        for line in self.metrics_file.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError):
                continue
        _replace(self.metrics_file, "".join(f"{line}\n" for line in kept))


def _replace(path: Path, text: str) -> None:
    """Writes a file at once: a run that is killed meanwhile keeps the old one."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def resume_advice(output: Path, command: str = "train_adapt") -> str:
    """The words that tell how to go on with a stopped run."""
    return f"{command} --config {output / 'config.yaml'} --resume"
