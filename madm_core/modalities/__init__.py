"""From raw sensor arrays to pictures for the network: depth, thermal and event cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madm_core.config import from_mapping, nearest
from madm_core.errors import ConfigError
from madm_core.modalities.base import EncodedImage, Modality
from madm_core.modalities.depth import DepthModality
from madm_core.modalities.events import EventModality
from madm_core.modalities.thermal import ThermalModality

__all__ = [
    "DepthModality",
    "EncodedImage",
    "EventModality",
    "Modality",
    "ThermalModality",
    "modality_from_dict",
    "modality_named",
]

_CLASSES: dict[str, type[Modality]] = {
    "depth": DepthModality,
    "thermal": ThermalModality,
    "infrared": ThermalModality,  # the paper's word for it
    "event": EventModality,
}


def modality_named(name: str, parameters: Mapping[str, Any] | None = None) -> Modality:
    """The modality ``depth``, ``thermal`` (also ``infrared``) or ``event`` with the given encoding parameters.

    Raises:
        ConfigError: The name or a parameter is unknown (the nearest is named), or a value cannot be used.
    """
    if name not in _CLASSES:
        raise ConfigError(
            "unknown modality", got=repr(name), expected="depth, thermal or event", do=nearest(name, list(_CLASSES))
        )
    return from_mapping(_CLASSES[name], parameters or {}, where=f"the {name} modality")


def modality_from_dict(fields: Mapping[str, Any]) -> Modality:
    """Reads what ``Modality.to_dict`` wrote.

    Raises:
        ConfigError: As :func:`modality_named`, or the name is missing.
    """
    parameters = dict(fields)
    return modality_named(str(parameters.pop("name", "")), parameters)
