from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pytest

from madm_core.config import from_mapping, load_config, to_mapping
from madm_core.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Optimiser:
    lr: float = 5e-6
    name: Literal["adamw", "adamw8bit"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)


@dataclasses.dataclass(frozen=True)
class Training:
    steps: int
    optimiser: Optimiser = Optimiser()
    classes: tuple[str, ...] = ()
    remap: dict[int, int] = dataclasses.field(default_factory=dict)
    folder: Path | None = None
    resume: bool = False
    seed: int | None = None


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_file_then_overrides(tmp_path):
    path = write(tmp_path, "steps: 10\noptimiser: {lr: 1.0e-3}\nclasses: [road, car]\nremap: {3: 4}\nfolder: data/x\n")
    config = load_config(Training, path, ["optimiser.lr=5e-6", "optimiser.betas=[0.5, 1]", "seed=7"])
    assert config == Training(10, Optimiser(5e-6, betas=(0.5, 1.0)), ("road", "car"), {3: 4}, Path("data/x"), seed=7)


def test_mapping_round_trip():
    config = Training(3, Optimiser(name="adamw8bit"), ("a",), {1: 2}, Path("x"), True)
    assert from_mapping(Training, to_mapping(config)) == config


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("steps: 1\noptimizer: {}", [], "unknown key 'optimizer'.*Did you mean 'optimiser'"),
        ("steps: 1\noptimiser: {learning: 3}", [], "unknown key 'optimiser.learning'.*Known are: betas, lr, name"),
        ("steps: 1", ["optimiser.nmae=x"], "Did you mean 'name'"),
        ("{}", [], "lacks the key 'steps'"),
        ("steps: many", [], "'steps'.*got 'many'; expected a whole number"),
        ("steps: true", [], "expected a whole number"),
        ("steps: 1\nresume: 1", [], "expected true or false"),
        ("steps: 1\noptimiser: {name: adam}", [], "expected adamw . adamw8bit. Did you mean 'adamw'"),
        ("steps: 1\noptimiser: {name: 3}", [], "expected 'adamw' . 'adamw8bit'"),
        ("steps: 1\noptimiser: {lr: .nan}", [], "expected a finite number"),
        ("steps: 1\noptimiser: {lr: fast}", [], "expected a finite number"),
        ("steps: 1\noptimiser: {betas: [1]}", [], "'optimiser.betas'"),
        ("steps: 1\noptimiser: 3", [], "a section of keys"),
        ("steps: 1\nremap: {a: 2}", [], "remap"),
        ("- 1", [], "expected a mapping"),
        ("a: [", [], "not valid YAML"),
        ("steps: 1", ["steps"], "expected key=value"),
        ("steps: 1", ["steps.x=1"], "'steps' is a value"),
        ("steps: 1", ["steps=["], "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(Training, write(tmp_path, text), overrides)


@pytest.mark.parametrize("fields", [[], [1, 2], "steps", None, 3])
def test_what_is_no_mapping_is_an_error(fields):
    with pytest.raises(ConfigError, match="the section cannot be used: got a .*; expected a mapping"):
        from_mapping(Training, fields, where="the section")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read .*nowhere.yaml"):
        load_config(Training, tmp_path / "nowhere.yaml")


def test_yaml_cannot_run_code(tmp_path):
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(Training, write(tmp_path, "steps: !!python/object/apply:os.getpid []"))
