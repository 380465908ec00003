"""Frozen dataclasses as configuration, read from YAML and ``key=value`` overrides.

A configuration is a frozen dataclass: its fields are the keys, their annotations the types, nested ones the sections.
Nothing is guessed: an unknown key is an error that names the nearest known one, a value of the wrong type is an error
that names the key, so that a typing mistake cannot quietly train the wrong thing for a night.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from madm_core.errors import ConfigError

ConfigT = TypeVar("ConfigT")

_YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError)
"""PyYAML's own, and what it lets through: impossible dates and bytes, and brackets without end."""


def load_config(config_class: type[ConfigT], path: str | Path | None = None, overrides: Sequence[str] = ()) -> ConfigT:
    """Reads a configuration.

    Args:
        config_class: A frozen dataclass.
        path: YAML file with a mapping at its top; None starts from the defaults.
        overrides: ``"section.key=value"``, each value written as in YAML; they win over the file.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, missing or of the wrong type, or the dataclass itself
            refused the values.
    """
    fields = read_yaml_mapping(path) if path is not None else {}
    for override in overrides:
        _apply_override(fields, override)
    return from_mapping(config_class, fields, where=str(path) if path is not None else "the configuration")


def read_yaml_mapping(path: str | Path) -> dict[str, Any]:
    """Reads a YAML file whose top level is a mapping. Raises ConfigError when it is anything else or cannot be read."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}", got=error.strerror, do="check the path") from error
    except _YAML_ERRORS as error:
        raise ConfigError(f"{path} is not valid YAML", got=str(error).replace("\n", " ")) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} cannot be used", got=f"a {type(content).__name__}", expected="a mapping of keys to values"
        )
    return content


def yaml_value(text: str, what: str) -> Any:
    """The value of a text in YAML, None of an empty one. Raises ConfigError, naming ``what``, when it has none."""
    try:
        return yaml.safe_load(text) if text.strip() else None
    except _YAML_ERRORS as error:
        raise ConfigError(f"the value of {what} is not valid YAML", got=repr(text)) from error


def from_mapping(config_class: type[ConfigT], fields: Mapping[str, Any], where: str = "the configuration") -> ConfigT:
    """Builds a configuration dataclass from nested mappings; see :func:`load_config` for the errors."""
    if not isinstance(fields, Mapping):  # annotations do not hold for what comes out of a file
        raise ConfigError(f"{where} cannot be used", got=f"a {type(fields).__name__}", expected="a mapping")
    return typing.cast(ConfigT, _build(config_class, fields, where, prefix=""))


def to_mapping(config: Any) -> dict[str, Any]:
    """The nested plain dict (JSON- and YAML-ready) of a configuration; :func:`from_mapping` reads it back."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    result: dict[str, Any] = plain(config)
    return result


def nearest(word: str, known: Sequence[str]) -> str:
    """``"did you mean 'x'?"`` for the most similar known word, or a list of all known words when none is similar."""
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{match[0]}'?" if match else f"known are: {', '.join(sorted(known))}"


def _apply_override(fields: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError("an override cannot be used", got=repr(override), expected="key=value or section.key=value")
    value = yaml_value(text, f"override '{key}'")
    section = fields
    *parents, last = key.strip().split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"override '{key}' cannot be applied", got=f"'{parent}' is a value", expected="a section")
    section[last] = value


def _build(config_class: type, fields: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = typing.get_type_hints(config_class)
    known = {field.name: field for field in dataclasses.fields(config_class) if field.init}
    for key in fields:
        if key not in known:
            raise ConfigError(f"unknown key '{prefix}{key}' in {where}", do=nearest(str(key), list(known)))
    arguments = {key: _convert(hints[key], value, where, f"{prefix}{key}") for key, value in fields.items()}
    missing = [
        name
        for name, field in known.items()
        if name not in fields and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where} lacks the key '{prefix}{missing[0]}'", do="add it")
    return config_class(**arguments)


def _convert(hint: Any, value: Any, where: str, key: str) -> Any:
    """Checks ``value`` against an annotation and converts it: lists to tuples, whole numbers to floats, str to Path."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        if isinstance(value, Mapping):
            return _build(hint, value, where, f"{key}.")
    elif origin is typing.Literal:
        if value in arguments and any(type(value) is type(choice) for choice in arguments):
            return value
        if isinstance(value, str):
            raise ConfigError(
                f"'{key}' in {where} has an unknown value",
                got=repr(value),
                expected=" | ".join(str(choice) for choice in arguments),
                do=nearest(value, [str(choice) for choice in arguments]),
            )
    elif origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        for choice in (choice for choice in arguments if choice is not type(None)):
            try:
                return _convert(choice, value, where, key)
            except ConfigError:
                if len(arguments) == 2 and type(None) in arguments:
                    raise
    elif origin is tuple and isinstance(value, (list, tuple)):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], item, where, f"{key}[{i}]") for i, item in enumerate(value))
        if len(arguments) == len(value):
            return tuple(_convert(arguments[i], item, where, f"{key}[{i}]") for i, item in enumerate(value))
    elif origin is list and isinstance(value, (list, tuple)):
        return [_convert(arguments[0], item, where, f"{key}[{i}]") for i, item in enumerate(value)]
    elif origin in (dict, Mapping, typing.get_origin(Mapping[str, Any])) and isinstance(value, Mapping):
        return {
            _convert(arguments[0], name, where, f"{key} (a key)"): _convert(arguments[1], item, where, f"{key}.{name}")
            for name, item in value.items()
        }
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif hint is float and isinstance(value, str):
        # YAML 1.1 reads 5e-6 (no dot) as text; people write learning rates that way.
        try:
            return _convert(float, float(value), where, key)
        except ValueError:
            pass
    elif hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    elif isinstance(hint, type) and isinstance(value, hint) and not (isinstance(value, bool) and hint is int):
        return value
    raise ConfigError(f"'{key}' in {where} has the wrong type", got=_quoted(value), expected=_describe(hint))


def _quoted(value: Any) -> Any:
    """Texts in quotes, to be told from numbers; what may be of any size is left for the error to shorten."""
    return repr(value) if value is None or isinstance(value, str) else value


def _describe(hint: Any) -> str:
    if dataclasses.is_dataclass(hint):
        return "a section of keys"
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(repr(choice) for choice in typing.get_args(hint))
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return {"str": "text", "int": "a whole number", "float": "a finite number", "bool": "true or false"}.get(
            hint.__name__, hint.__name__
        )
    return str(hint).replace("typing.", "")
