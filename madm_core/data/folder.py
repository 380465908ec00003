"""A folder of pictures and, where there are any, a folder of label pictures with a mapping file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madm_core.config import nearest, read_yaml_mapping
from madm_core.data.frames import FrameFiles, Frames, list_images
from madm_core.errors import ConfigError, DataError
from madm_core.labels import IGNORE, LabelMap, LabelSet
from madm_core.modalities import Modality


@dataclass(frozen=True)
class FolderConfig:
    """``kind: folder``.

    Args:
        images: Folder of pictures, searched recursively.
        labels: Folder of label pictures; None for unlabelled frames. A label picture has its picture's relative path up
            to the suffix, plus ``label_suffix``.
        mapping: YAML file ``{id in the label pictures: class name of the label set, or ignore}``; None when the ids are
            the label set's own.
        label_suffix: What follows the picture's name in the name of its labels, e.g. ``"_labels"``.
        resize: See ``Frames``.
    """

    images: Path
    labels: Path | None = None
    mapping: Path | None = None
    label_suffix: str = ""
    resize: tuple[int, int] | None = None


def folder_frames(config: FolderConfig, label_set: LabelSet, modality: Modality | None) -> Frames:
    """Lists a folder.

    Raises:
        DataError: A folder is missing or empty, or pictures and labels do not match.
        ConfigError: The mapping file cannot be used.
    """
    images = list_images(config.images, "pictures")
    if config.labels is None:
        files = [FrameFiles(image) for image in images]
        return Frames(f"folder {config.images}", files, resize=config.resize, modality=modality)
    labels = {
        path.relative_to(config.labels).with_suffix("").as_posix(): path
        for path in list_images(config.labels, "label pictures")
    }
    keys = [image.relative_to(config.images).with_suffix("").as_posix() + config.label_suffix for image in images]
    missing = [image for image, key in zip(images, keys, strict=True) if key not in labels]
    left_over = sorted(set(labels) - set(keys))
    if missing or left_over:
        example = f"no labels for {missing[0]}" if missing else f"no picture for {labels[left_over[0]]}"
        raise DataError(
            f"pictures in {config.images} and labels in {config.labels} do not match",
            got=f"{len(images)} pictures, {len(labels)} label files; {len(missing)} pictures without labels, "
            f"{len(left_over)} labels without picture ({example})",
            expected=f"for every picture a label file of the same name plus '{config.label_suffix}'",
        )
    pairs = read_mapping(config.mapping, label_set) if config.mapping else {i: i for i in label_set.ids}
    return Frames(
        f"folder {config.images}",
        [FrameFiles(image, labels[key]) for image, key in zip(images, keys, strict=True)],
        label_map=LabelMap.from_pairs(pairs),
        known_ids=frozenset({*pairs, IGNORE}),
        resize=config.resize,
        modality=modality,
    )


def read_mapping(path: Path, label_set: LabelSet) -> dict[int, int]:
    """Reads a mapping file; see :class:`FolderConfig`.

    Raises:
        ConfigError: A key is no id of 0..255, or a name is not in the label set.
    """
    pairs: dict[int, int] = {}
    names = {name: class_id for class_id, name in enumerate(label_set.names)}
    content: dict[Any, Any] = read_yaml_mapping(path)
    for old, name in content.items():
        if not _is_id(old):
            raise ConfigError(f"{path} has a key that is no label id", got=repr(old), expected="a number of 0..255")
        if not isinstance(name, str) or (name != "ignore" and name not in names):
            raise ConfigError(
                f"{path} maps id {old} to an unknown class",
                got=repr(name),
                expected=f"a class of {label_set.name}, or ignore",
                do=nearest(str(name), [*names, "ignore"]),
            )
        pairs[old] = IGNORE if name == "ignore" else names[name]
    return pairs


def _is_id(key: Any) -> bool:
    return isinstance(key, int) and not isinstance(key, bool) and 0 <= key <= 255
