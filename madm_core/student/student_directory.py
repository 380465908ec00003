"""Model directories of students: ``madm.json``, and the network as transformers' ``save_pretrained`` writes it.

So a student is a SegFormer for any other program as well, and its weights keep transformers' stable names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import SegformerForSemanticSegmentation
from transformers.utils import logging as transformers_logging

from madm_core.config import from_mapping
from madm_core.errors import BaseModelError, ConfigError
from madm_core.labels import LabelSet
from madm_core.modalities import Modality
from madm_core.modalities.input_statistics import InputStatistics
from madm_core.model.directory_format import ModelHeader, damaged, write_model_directory
from madm_core.model.hub import cached_or_downloaded, looks_like_hub_id
from madm_core.student.architecture import StudentArchitecture
from madm_core.student.network import StudentNetwork

logger = logging.getLogger(__name__)
transformers_logging.disable_progress_bar()  # a student is loaded in no time


def save_student_directory(
    path: str | Path,
    network: StudentNetwork,
    *,
    modality: Modality,
    label_set: LabelSet,
    image_size: tuple[int, int],
    provenance: Mapping[str, Any] | None = None,
    input_statistics: InputStatistics | None = None,
) -> Path:
    """Write a student as a model directory of kind ``segformer``; see ``write_model_directory`` for errors.

    Args:
        path: Where.
        network: The student in float32; only read.
        modality: How raw sensor data becomes its images: the teacher's.
        label_set: Its classes.
        image_size: (height, width) that images are resized to.
        provenance: Teacher, data, scores; JSON values.
        input_statistics: What the pictures that it learned from look like.
    """

    def fill(directory: Path) -> dict[str, Any]:
        network.model.save_pretrained(directory)
        return {"architecture": asdict(network.architecture)}

    header = ModelHeader("segformer", modality, label_set, image_size, input_statistics)
    return write_model_directory(path, header, classes=network.classes, version=2, fill=fill, provenance=provenance)


def load_student(directory: Path, description: Mapping[str, Any]) -> StudentNetwork:
    """The network of a verified directory of kind ``segformer``, on the CPU in evaluation mode.

    Raises:
        ModelDirectoryError: Its weights are not those of the architecture that ``madm.json`` describes.
    """
    try:
        architecture = from_mapping(StudentArchitecture, description["architecture"], where="the architecture")
        model, report = SegformerForSemanticSegmentation.from_pretrained(
            directory, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        found = StudentArchitecture.of_config(model.config)
    except (ConfigError, KeyError, OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise damaged(directory, f"{type(error).__name__}: {error}") from error
    left = sorted(str(name) for names in _differences(report).values() for name in names)
    if left:
        raise damaged(directory, f"model.safetensors lacks or adds {len(left)} tensors, as {left[0]}")
    if found != architecture:
        raise damaged(directory, f"config.json describes {found}, madm.json {architecture}")
    return StudentNetwork(model.eval())


def start_from(source: str, architecture: StudentArchitecture) -> StudentNetwork:
    """A student that starts from a pretrained SegFormer; layers that do not fit (the classes) are drawn at random.

    Args:
        source: Hub id, or a directory that transformers' ``save_pretrained`` wrote (a student's model directory, too).
        architecture: What the student is to be.

    Raises:
        BaseModelError: It cannot be loaded, or nothing of it fits.
    """
    directory = Path(source).expanduser()
    if not directory.is_dir() and looks_like_hub_id(source):
        files = ("config.json", "model.safetensors")
        directory = cached_or_downloaded(source, files, lambda cached: all((cached / name).is_file() for name in files))
    try:
        model, report = SegformerForSemanticSegmentation.from_pretrained(
            directory,
            config=architecture.to_config(),
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise BaseModelError(
            f"the student cannot start from {source}",
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            expected="a SegFormer: hub id, or directory with config.json and model.safetensors",
            do="check the name, or leave out 'initial' to start from random weights",
        ) from error
    differences = _differences(report)
    fresh = {*differences["missing_keys"], *differences["mismatched_keys"]}
    encoder = [name for name in model.state_dict() if name.startswith("segformer.")]
    unfit = [name for name in encoder if name in fresh]
    if unfit:
        raise BaseModelError(
            f"the encoder of {source} does not fit the student",
            got=f"{len(unfit)} of {len(encoder)} tensors are missing or of another size, as {unfit[0]}",
            do="choose the student's size to match, or leave out 'initial'",
        )
    logger.info("the student starts from %s; drawn at random: %s", source, ", ".join(sorted(fresh)) or "nothing")
    return StudentNetwork(model)


def _differences(report: Mapping[str, Any]) -> dict[str, set[str]]:
    """Names of tensors that were missing, too many, or of another size."""
    names: dict[str, set[str]] = {}
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names[key] = {entry if isinstance(entry, str) else str(entry[0]) for entry in report.get(key) or ()}
    return names
