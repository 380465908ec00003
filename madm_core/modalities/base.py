"""What every modality offers: raw sensor array -> picture for the network."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from madm_core.config import from_mapping, to_mapping

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EncodedImage:
    """A picture for the network, and where the sensor really measured something.

    Args:
        image: (H, W, 3) float32 in [0, 1]; pixels without a measurement hold filled-in values.
        valid: (H, W) bool, False where there was no measurement (such pixels come out as label 255); None: valid
            everywhere.
    """

    image: Image
    valid: Mask | None = None


@dataclass
class Modality(ABC):
    """How one kind of camera becomes a picture: the encoding that a network was trained with, kept in its model
    directory.

    Subclasses are dataclasses whose init fields are the encoding's parameters.
    """

    name: ClassVar[str]

    @abstractmethod
    def encode(self, raw: npt.NDArray[Any]) -> EncodedImage:
        """Encodes one raw sensor array; each modality's class says which.

        Raises:
            InvalidInputError: ``raw`` is not what this modality takes.
        """

    def to_image(self, raw: npt.NDArray[Any]) -> Image:
        """:meth:`encode` without the mask: (H, W, 3) float32 in [0, 1]."""
        return self.encode(raw).image

    def reset(self) -> None:  # noqa: B027 - most modalities remember nothing
        """Forgets what was learned from earlier frames, as when time jumps back or another camera is connected."""

    def replace(self, parameters: Mapping[str, Any]) -> Self:
        """A fresh modality with some parameters changed.

        Raises:
            ConfigError: A parameter is unknown (the nearest is named) or its value cannot be used.
        """
        return from_mapping(type(self), {**self.parameters(), **parameters}, where=f"the {self.name} modality")

    def parameters(self) -> dict[str, Any]:
        """The encoding's parameters, JSON-ready."""
        fields = to_mapping(self)
        return {field.name: fields[field.name] for field in dataclasses.fields(self) if field.init}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form that ``modality_from_dict`` reads back."""
        return {"name": self.name, **self.parameters()}


def gray_to_rgb(gray: npt.NDArray[np.float32]) -> Image:
    """(H, W) -> (H, W, 3) by repeating the channel."""
    image: Image = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    return image
