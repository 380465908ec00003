"""Label sets (class names, ids, colours) and tables that map one set's ids to another's.

Sources: MADM (Xia et al., NeurIPS 2024) for the 11- and 9-class sets and their remaps; Cityscapes (Cordts et al.,
CVPR 2016) for the 19 training classes and the palette.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from madm_core.errors import ConfigError, InvalidInputError

IGNORE = 255
"""The id that means "no class": unlabelled ground truth, or a pixel without a valid measurement."""

Color = tuple[int, int, int]
Labels = npt.NDArray[np.uint8]

_COLORS: dict[str, Color] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}


@dataclass(frozen=True)
class LabelSet:
    """The classes a network tells apart. Class ids are the positions ``0 .. len(label_set) - 1``; 255 means "no class".

    Args:
        name: Short name, e.g. ``"madm11"``.
        names: Class names in id order, all different.
        colors: One (red, green, blue) colour of 0..255 a class, all different and none of them black: black shows id
            255.

    Raises:
        ConfigError: The names and colours do not fit together, or there are none or more than 255.
    """

    name: str
    names: tuple[str, ...]
    colors: tuple[Color, ...]

    def __post_init__(self) -> None:
        problem = None
        if not 1 <= len(self.names) <= IGNORE:
            problem = f"{len(self.names)} classes, where 1 to {IGNORE} are possible"
        elif len(self.names) != len(self.colors):
            problem = f"{len(self.names)} names but {len(self.colors)} colours"
        elif len(set(self.names)) != len(self.names):
            problem = "a class name that occurs twice"
        elif len({*self.colors, (0, 0, 0)}) != len(self.colors) + 1:
            problem = "a colour that occurs twice, or black (which shows pixels without a class)"
        elif any(len(color) != 3 or not all(0 <= part <= 255 for part in color) for color in self.colors):
            problem = "a colour that is not three numbers of 0..255"
        if problem:
            raise ConfigError(
                f"label set '{self.name}' cannot be used", got=problem, do="give each class one name and one RGB colour"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def ids(self) -> tuple[int, ...]:
        """Class ids in order: ``(0, 1, ..., K-1)``."""
        return tuple(range(len(self.names)))

    def name_of(self, class_id: int) -> str:
        """The name of an id, for people; of an id without a class ``"class 12, which has no name"``."""
        return self.names[class_id] if 0 <= class_id < len(self.names) else f"class {class_id}, which has no name"

    @cached_property
    def palette(self) -> npt.NDArray[np.uint8]:
        """(256, 3) uint8 RGB: row i is the colour of id i; ids without a class, 255 among them, are black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.colors)] = self.colors
        return palette

    def colorize(self, labels: Labels) -> npt.NDArray[np.uint8]:
        """Paints ids with their colours.

        Args:
            labels: (H, W) uint8 ids.

        Returns:
            (H, W, 3) uint8 RGB; ids without a class are black.

        Raises:
            InvalidInputError: ``labels`` is not uint8.
        """
        if labels.dtype != np.uint8:
            raise InvalidInputError(
                "labels cannot be painted", reason="dtype", got=labels.dtype, expected="uint8", do="cast them to uint8"
            )
        painted: npt.NDArray[np.uint8] = np.take(self.palette, labels, axis=0)
        return painted

    def labels_from_colors(self, image: npt.NDArray[np.uint8], tolerance: int = 0) -> Labels:
        """Reads ids back from a picture in this set's colours.

        Args:
            image: (H, W, 3) uint8 RGB.
            tolerance: Largest difference in any channel at which a pixel still counts as a colour (0 for lossless
                pictures).

        Returns:
            (H, W) uint8 ids of the nearest colour within the tolerance, 255 elsewhere.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InvalidInputError(
                "a label picture cannot be read",
                reason="shape",
                got=f"{image.dtype} {image.shape}",
                expected="uint8 (H, W, 3) RGB",
            )
        labels = np.full(image.shape[:2], IGNORE, np.uint8)
        best = np.full(image.shape[:2], tolerance + 1, np.int16)
        for class_id, color in enumerate(self.colors):
            distance = np.abs(image.astype(np.int16) - np.asarray(color, np.int16)).max(axis=2)
            nearer = distance < best
            labels[nearer] = class_id
            best[nearer] = distance[nearer]
        return labels

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; :meth:`from_dict` reads it back."""
        return {"name": self.name, "names": list(self.names), "colors": [list(color) for color in self.colors]}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LabelSet:
        """Reads what :meth:`to_dict` wrote.

        Raises:
            ConfigError: A field is missing or malformed.
        """
        try:
            colors = tuple((int(r), int(g), int(b)) for r, g, b in fields["colors"])
            return cls(str(fields["name"]), tuple(str(name) for name in fields["names"]), colors)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                "a label set cannot be read",
                got=f"{type(error).__name__}: {error}",
                expected='{"name": str, "names": [str, ...], "colors": [[r, g, b], ...]}',
            ) from error

    @classmethod
    def named(cls, name: str) -> LabelSet:
        """One of the built-in sets: ``"madm11"``, ``"madm9"`` or ``"cityscapes19"``.

        Raises:
            ConfigError: There is no such set.
        """
        for label_set in (MADM11, MADM9, CITYSCAPES19):
            if label_set.name == name:
                return label_set
        raise ConfigError(
            "unknown label set", got=repr(name), expected="madm11, madm9 or cityscapes19", do="or define your own set"
        )


_TEN = ("sky", "building", "fence", "person", "pole", "road", "sidewalk", "vegetation", "car", "wall")
MADM11 = LabelSet(
    "madm11",
    (*_TEN, "traffic sign"),
    # MADM paints its class of signs and lights in the colour of Cityscapes' lights.
    (*(_COLORS[name] for name in _TEN), _COLORS["traffic light"]),
)
"""The 11 classes of the depth and event tasks. Person includes riders, car all vehicles, traffic sign the lights."""

_NINE = tuple(index for index, name in enumerate(MADM11.names) if name not in ("fence", "wall"))
MADM9 = LabelSet("madm9", tuple(MADM11.names[i] for i in _NINE), tuple(MADM11.colors[i] for i in _NINE))
"""The 9 classes of the infrared task: :data:`MADM11` without fence and wall."""

CITYSCAPES19 = LabelSet("cityscapes19", tuple(_COLORS), tuple(_COLORS.values()))
"""The 19 training classes of Cityscapes in train-id order."""


@dataclass(frozen=True)
class LabelMap:
    """A simultaneous renaming of ids, applied through a table.

    Args:
        table: (256,) uint8; entry ``old`` holds the new id.
    """

    table: Labels

    @classmethod
    def from_pairs(cls, pairs: Mapping[int, int], unlisted: Literal["keep", "ignore"] = "ignore") -> LabelMap:
        """Builds a table from ``{old id: new id}``.

        Args:
            pairs: Ids of 0..255 on both sides.
            unlisted: What an id that is not listed becomes: itself (``"keep"``) or 255 (``"ignore"``).

        Raises:
            ConfigError: An id is outside 0..255.
        """
        outside = [pair for pair in pairs.items() if not all(0 <= class_id <= 255 for class_id in pair)]
        if outside:
            raise ConfigError("a label map cannot be used", got=f"{outside[0]}", expected="ids of 0..255")
        table = np.arange(256, dtype=np.uint8) if unlisted == "keep" else np.full(256, IGNORE, np.uint8)
        for old, new in pairs.items():
            table[old] = new
        return cls(table)

    def apply(self, labels: Labels) -> Labels:
        """Maps (H, W) uint8 ids to (H, W) uint8 ids."""
        mapped: Labels = np.take(self.table, labels)
        return mapped

    def then(self, following: LabelMap) -> LabelMap:
        """The map that applies this one first and ``following`` after it."""
        return LabelMap(following.apply(self.table))


def _runs(*runs: tuple[Sequence[int], int]) -> dict[int, int]:
    return {old: new for olds, new in runs for old in olds}


_THINGS = range(13, 19)  # car, truck, bus, train, motorcycle, bicycle

CITYSCAPES_IDS_TO_TRAIN_IDS = LabelMap.from_pairs(
    {old: new for new, old in enumerate((7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33))}
)
"""``*_gtFine_labelIds.png`` -> the 19 train ids (Cityscapes' published table); everything else becomes 255."""

CITYSCAPES19_TO_MADM11 = LabelMap.from_pairs(
    {0: 5, 1: 6, 2: 1, 3: 9, 4: 2, 5: 4, 6: 10, 7: 10, 8: 7, 9: 7, 10: 0, 11: 3, 12: 3} | _runs((_THINGS, 8)), "keep"
)
"""MADM's source table for depth and events (algorithm section 9.3)."""

CITYSCAPES19_TO_MADM9 = LabelMap.from_pairs(
    {0: 4, 1: 5, 2: 1, 3: 255, 4: 255, 5: 3, 6: 8, 7: 8, 8: 6, 9: 6, 10: 0, 11: 2, 12: 2} | _runs((_THINGS, 7)), "keep"
)
"""MADM's source table for infrared; wall and fence are ignored."""

# DELIVER stores class + 1, and the reference subtracts in uint8: 0 wraps round to 255, and 255 itself stays ignored.
_DELIVER_TO_CLASS = LabelMap.from_pairs({old: (old - 1) % 256 for old in range(255)})
DELIVER_TO_MADM11 = _DELIVER_TO_CLASS.then(
    LabelMap.from_pairs(
        {0: 1, 1: 2, 2: 255, 3: 3, 4: 4, 5: 5, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 12: 0, 17: 10, 21: 7}
        | _runs(((13, 14, 15, 16, 18, 19, 20), 255), ((22, 23, 24), 8)),
        "keep",
    )
)
"""First channel of a DELIVER label picture -> :data:`MADM11`."""

FMB_TO_MADM9 = LabelMap.from_pairs(
    {0: 255, 1: 4, 2: 5, 3: 1, 4: 8, 5: 8, 6: 6, 7: 0, 8: 2, 14: 3} | _runs((range(9, 14), 7)), "keep"
)
"""FMB label picture -> :data:`MADM9`."""
