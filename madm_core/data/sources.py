"""Opens the data sets that a configuration names, by their ``kind``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from madm_core.config import from_mapping, nearest
from madm_core.data import KINDS
from madm_core.data.bag_frames import BagConfig, bag_frames
from madm_core.data.cityscapes import CityscapesConfig, cityscapes_frames
from madm_core.data.deliver import DeliverConfig, deliver_frames
from madm_core.data.dsec import DsecConfig, dsec_frames
from madm_core.data.fmb import FmbConfig, fmb_frames
from madm_core.data.folder import FolderConfig, folder_frames
from madm_core.data.frames import Frames
from madm_core.data.streetworld_frames import StreetworldConfig, streetworld_frames
from madm_core.errors import ConfigError
from madm_core.labels import LabelSet
from madm_core.modalities import Modality


def open_frames(
    fields: Mapping[str, Any],
    *,
    label_set: LabelSet,
    modality: Modality | None,
    cache: Path,
    where: str,
    progress: bool = True,
) -> Frames:
    """Opens one data set.

    Args:
        fields: ``kind`` and the keys of that kind's configuration class.
        label_set: Classes that labels are mapped to.
        modality: Encodes frames that are not pictures yet; None for colour pictures.
        cache: Folder for frames extracted from bags.
        where: The section's name, for errors.
        progress: Show progress bars.

    Raises:
        ConfigError: The kind or a key is unknown, or a value cannot be used.
        DataError: The data cannot be used.
    """
    keys = dict(fields)
    kind = str(keys.pop("kind", ""))
    where = f"the section '{where}'"
    if kind == "cityscapes":
        return cityscapes_frames(from_mapping(CityscapesConfig, keys, where), label_set)
    if kind == "deliver":
        return deliver_frames(from_mapping(DeliverConfig, keys, where), label_set)
    if kind == "fmb":
        return fmb_frames(from_mapping(FmbConfig, keys, where), label_set)
    if kind == "dsec":
        return dsec_frames(from_mapping(DsecConfig, keys, where), label_set, modality, cache, progress=progress)
    if kind == "folder":
        return folder_frames(from_mapping(FolderConfig, keys, where), label_set, modality)
    if kind == "streetworld":
        return streetworld_frames(from_mapping(StreetworldConfig, keys, where), label_set, modality)
    if kind == "bag":
        if modality is None:
            raise ConfigError(f"{where} cannot be a bag", do="bags are for unlabelled target frames")
        return bag_frames(from_mapping(BagConfig, keys, where), modality, cache, progress=progress)
    raise ConfigError(
        f"{where} has an unknown kind", got=repr(kind), expected=", ".join(KINDS), do=nearest(kind, KINDS)
    )
