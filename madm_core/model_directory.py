"""Model directories: what training writes and the node reads (design.md 3.2).

``madm.json`` says what the model is, of which kind its network is, and holds a checksum of every other file. For a
network of kind ``madm``, ``model.safetensors`` holds the trained weights and the precomputed text condition. The base's
autoencoder, which is never trained, is either in ``base/`` or referred to by path or hub id, with a hash of its
weights. A student keeps all its weights in ``model.safetensors``; an exported program has a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from madm_core.config import from_mapping
from madm_core.errors import BaseModelError, CheckpointError, ConfigError, MadmError, ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import Modality
from madm_core.modalities.input_statistics import InputStatistics
from madm_core.model.assembly import assemble_network, stored_state
from madm_core.model.autoencoder_options import AutoencoderOptions
from madm_core.model.directory_format import (
    ModelHeader,
    check_classes,
    damaged,
    read_description,
    verified_header,
    write_model_directory,
)
from madm_core.model.head import SegmentationHead
from madm_core.model.hub import cached_or_downloaded, looks_like_hub_id
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.network import CODE_KINDS, NetworkKind, SegmentationNetwork
from madm_core.model.stable_diffusion import StableDiffusionBase
from madm_core.model.stored_base import describe_base, load_stored_base, write_base
from madm_core.shipped_files import MODELS, shipped_directory


@dataclass(frozen=True)
class LoadedModel:
    """What a model directory holds.

    Attributes:
        network: The network, not yet on a device; a :class:`MadmNetwork` in float32 on the CPU for kind ``madm``.
        modality: How raw sensor data becomes the network's images.
        label_set: The network's classes.
        image_size: (height, width) of the network's images in pixels.
        kind: The kind of network.
        description: ``madm.json`` as it was read, provenance included.
        input_statistics: What the training pictures looked like; None when the directory does not say it.
    """

    network: SegmentationNetwork
    modality: Modality
    label_set: LabelSet
    image_size: tuple[int, int]
    kind: NetworkKind
    description: Mapping[str, Any]
    input_statistics: InputStatistics | None = None


def save_model_directory(
    path: str | Path,
    network: MadmNetwork,
    *,
    modality: Modality,
    label_set: LabelSet,
    image_size: tuple[int, int],
    base_reference: str | Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    input_statistics: InputStatistics | None = None,
) -> Path:
    """Write a model directory. It is complete or it is not there: it is written beside its place and then renamed.

    Args:
        path: Where. An older model directory there is replaced, and stays if anything goes wrong.
        network: The network; only read.
        modality: How raw sensor data becomes the network's images.
        label_set: The network's classes.
        image_size: (height, width) that images are resized to.
        base_reference: Local directory or hub id of the base that holds the autoencoder; None copies what is needed of
            it into ``base/``.
        provenance: Where the model comes from: recipe, data, metrics, ... JSON values.
        input_statistics: What the training pictures look like, for the node to compare live ones with.

    Raises:
        ConfigError: The label set does not have the network's number of classes.
        ModelDirectoryError: Something else than a model directory is at ``path``, it cannot be written, or the network
            was already changed for inference.
    """
    if not isinstance(network.head, SegmentationHead) or (network.architecture.lora and network.adapter is None):
        raise ModelDirectoryError(
            "a network that was made ready for inference cannot be saved",
            got="a folded head or a merged adapter",
            do="save it before a Segmenter takes it over",
        )

    def fill(directory: Path) -> dict[str, Any]:
        save_file(stored_state(network), directory / "model.safetensors")
        write_base(directory / "base", network, weights=base_reference is None)
        return {"architecture": asdict(network.architecture), "base": describe_base(network, base_reference)}

    return write_model_directory(
        path,
        ModelHeader("madm", modality, label_set, image_size, input_statistics),
        classes=network.classes,
        version=1,
        fill=fill,
        provenance=provenance,
    )


def load_model_directory(path: str | Path, *, base: str | Path | StableDiffusionBase | None = None) -> LoadedModel:
    """Read and verify a model directory of any kind.

    Args:
        path: The directory.
        base: Where the base is now, for a directory that refers to one; its own reference when None. Models that were
            trained with LoRA can share a base that is already loaded: each adds its adapter to the one U-Net.

    Raises:
        ModelDirectoryError: It is missing, corrupt, truncated, of a newer format, or its base is another one.
        BaseModelError: The base that it refers to cannot be loaded.
    """
    directory = Path(path)
    description = read_description(directory)
    header = verified_header(directory, description)
    network: SegmentationNetwork
    # The one place that chooses by kind. A new kind is one more branch: a function of the directory and its description
    # that returns a network with the interface of madm_core.model.network.SegmentationNetwork.
    if header.kind == "madm":
        network = _load_madm(directory, description, base)
    elif header.kind == "segformer":
        from madm_core.student.student_directory import load_student  # only students need transformers' SegFormer

        network = load_student(directory, description)
    else:
        from madm_core.export.program import load_program  # the runtimes are optional packages

        network = load_program(directory, header.kind, header.image_size, description)
    try:
        check_classes(header.label_set, network.classes)
    except ConfigError as error:
        raise damaged(directory, f"madm.json: {error}") from error
    return LoadedModel(
        network,
        header.modality,
        header.label_set,
        header.image_size,
        header.kind,
        description,
        header.input_statistics,
    )


def _load_madm(
    directory: Path, description: Mapping[str, Any], base: str | Path | StableDiffusionBase | None
) -> MadmNetwork:
    try:
        architecture = from_mapping(MadmArchitecture, description["architecture"], where="the architecture")
        entry = {key: description["base"][key] for key in ("reference", "vae_sha256", "unet_sha256")}
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise damaged(directory, f"madm.json: {type(error).__name__}: {error}") from error
    try:
        state = load_file(directory / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise damaged(directory, f"model.safetensors: {error}") from error
    try:
        return assemble_network(load_stored_base(directory, entry, base, state), architecture, state)
    except CheckpointError as error:
        raise damaged(directory, f"model.safetensors: {error}") from error
    except MadmError:
        raise
    except Exception as error:  # layers of sizes that cannot be built, or not at all
        raise damaged(directory, f"madm.json: the architecture: {type(error).__name__}: {error}") from error


def find_model_directory(path_or_hub_id: str | Path) -> Path:
    """The local directory of a model: itself, a shipped one, or the snapshot of a hub id of the form ``owner/name``.

    Raises:
        ModelDirectoryError: There is neither, or the hub's is a program that can hold code.
    """
    directory = Path(path_or_hub_id).expanduser()
    if directory.is_dir():
        return directory
    shipped = shipped_directory(path_or_hub_id, MODELS)
    if shipped is not None or not looks_like_hub_id(path_or_hub_id):
        return shipped or directory
    try:
        patterns = ["madm.json", "config.json", "model.*", "base/**"]
        found = cached_or_downloaded(str(path_or_hub_id), patterns, _is_complete)
    except BaseModelError as error:
        raise ModelDirectoryError(f"there is no model at {path_or_hub_id}", got=error, do="check the path") from error
    kind = str(read_description(found).get("network", "madm"))
    if kind in CODE_KINDS:
        raise ModelDirectoryError(
            f"the model {path_or_hub_id} is a program and is not run from the hub",
            got=f"a network of kind {kind!r}, which can hold code",
            expected="weights or ONNX, which are data",
            do=f"if you trust whoever made it, name its directory instead: {found}",
        )
    return found


def _is_complete(snapshot: Path) -> bool:
    """Whether a snapshot holds every file that its ``madm.json`` lists; checksums are compared when it is loaded."""
    if not (snapshot / "madm.json").is_file():
        return False
    return all((snapshot / name).is_file() for name in read_description(snapshot)["files"])


def change_autoencoder(model: LoadedModel, options: AutoencoderOptions) -> None:
    """Have a model run with another autoencoder.

    Raises:
        ConfigError: It is a change, and the model's network has no autoencoder of its own.
    """
    if isinstance(model.network, MadmNetwork):
        model.network.autoencoder_options = options
    elif options.describe():
        raise ConfigError(
            "only the full network has an autoencoder that can be changed",
            got=f"a network of kind {model.kind!r} and {options.describe()}",
            do="give these options to export_model, or leave them out",
        )


def holds_program(directory: str | Path) -> bool:
    """Whether a directory on disk holds an exported program, which knows devices and precisions of its own."""
    try:
        kind = read_description(Path(directory).expanduser()).get("network", "madm")
    except ModelDirectoryError:
        return False
    return kind not in ("madm", "segformer")
