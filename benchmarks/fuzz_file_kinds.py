"""The files of fuzz_files.py: how a sound one of each kind is made, and what reads it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from madm_core.adaptation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from madm_core.config import load_config, read_yaml_mapping
from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter
from madm_core.data.folder import read_mapping
from madm_core.data.frames import read_array, read_label_file
from madm_core.data.message_types import MessageTypes
from madm_core.errors import DataError, MadmError
from madm_core.evaluation.labels import labels_of_folder
from madm_core.events.files import open_events
from madm_core.labels import LabelSet
from madm_core.messages.image_arrays import array_to_image_fields, image_to_array
from madm_core.modalities import modality_named
from madm_core.model.checksums import directory_checksums

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class FileKind:
    """Something that is read: a sound one, which of its files are damaged and how, and what reads it.

    Args:
        make: Writes a sound one into a folder.
        targets: Globs of the files that are damaged.
        read: Opens it completely.
        mend: Makes checksums agree with the damaged content.
        manifest: The file that holds the checksums.
        structured: How the content is changed besides bytes: ``json``, ``yaml`` or none.
    """

    make: Callable[[Path], None]
    targets: tuple[str, ...]
    read: Callable[[Path], object]
    mend: Callable[[Path], None] | None = None
    manifest: str = ""
    structured: str = ""


# What needs diffusers is imported where it is used: half of the kinds do without, and it takes seconds.


def _make_model(folder: Path) -> None:
    from madm_core.model.madm import MadmArchitecture, MadmNetwork
    from madm_core.model.stable_diffusion import load_base
    from madm_core.model.tiny_base import write_tiny_base
    from madm_core.model_directory import save_model_directory

    label_set = LabelSet.named("madm11")
    base = load_base(write_tiny_base(folder.parent / f"{folder.name}_base"))
    torch.manual_seed(0)
    network = MadmNetwork.from_base(base, MadmArchitecture.tiny(len(label_set)), (64, 64))
    save_model_directory(
        folder, network, modality=modality_named("depth", {}), label_set=label_set, image_size=(64, 64)
    )


def _read_model(folder: Path) -> None:
    from madm_core.model_directory import load_model_directory

    load_model_directory(folder)


def _mend_model(folder: Path) -> None:
    file = folder / "madm.json"
    description = json.loads(file.read_text())
    description["files"] = {n: entry for n, entry in directory_checksums(folder).items() if n != "madm.json"}
    file.write_text(json.dumps(description))


def _make_bag(folder: Path, storage: str) -> None:
    with BagWriter(folder, storage=storage) as bag:
        for number in range(3):
            stamp = {"sec": 1000 + number, "nanosec": 0}
            fields = array_to_image_fields(np.full((4, 6), 900 + number, np.uint16), "16UC1")
            header = {"stamp": stamp, "frame_id": "camera"}
            bag.add("/depth", "sensor_msgs/msg/Image", {"header": header, **fields}, (1000 + number) * 10**9)
            packet = {"header": header, "height": 4, "width": 6, "encoding": "mono", "events": np.zeros(16, np.uint8)}
            bag.add("/events", "event_camera_msgs/msg/EventPacket", packet, (1000 + number) * 10**9 + 5)


def _read_bag(folder: Path) -> None:
    with BagReader(folder) as bag:
        bag.describe()
        for topic, type_name, _, data in bag.messages():
            message = bag.decode(data, type_name)
            if type_name == "sensor_msgs/msg/Image" and topic:
                image_to_array(message)


def _write_definitions(folder: Path) -> None:
    folder.mkdir()
    (folder / "Thing.msg").write_text(
        "# comment\nstd_msgs/Header header\nuint32 COUNT=5\nstring NAME=\"some text\"\nfloat64[3] position\n"
        "geometry_msgs/Point[<=4] points\nstring<=10 name \"abc\"\nint8[] values [1, 2]\n"
    )  # fmt: skip
    (folder / "Thing.idl").write_text(
        "module pkg { module msg { module Thing_Constants { const uint32 COUNT = 5; const string NAME = \"a\"; };\n"
        "@verbatim (language=\"comment\", text= \"words\")\nstruct Thing { sequence<double, 3> position;\n"
        "@default (value=3) uint8 level; string<10> name; }; }; };\n"
    )  # fmt: skip


def _read_definitions(folder: Path) -> None:
    from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

    def read(name: str, form: MessageDefinitionFormat) -> None:
        text = (folder / name).read_text(errors="replace")
        types = MessageTypes()
        types.add_definition("pkg/msg/Thing", MessageDefinition(form, text))
        with contextlib.suppress(DataError):  # zeros need not be a message of it
            types.decode(bytes(200), "pkg/msg/Thing")

    _read_all(
        [
            lambda: read("Thing.msg", MessageDefinitionFormat.MSG),
            lambda: read("Thing.idl", MessageDefinitionFormat.IDL),
        ]
    )


def _make_pictures(folder: Path) -> None:
    folder.mkdir()
    labels = np.tile(np.arange(11, dtype=np.uint8), (6, 1))
    Image.fromarray(labels).save(folder / "1000000000000.png")
    palette = Image.fromarray(labels).convert("P")
    palette.save(folder / "1000000000001.png")
    cv2.imwrite(str(folder / "1000000000002.png"), labels.astype(np.uint16))
    np.save(folder / "depth.npy", labels.astype(np.float32))
    cv2.imwrite(str(folder / "deep.tiff"), labels.astype(np.uint16))


def _read_pictures(folder: Path) -> None:
    _read_all(
        [
            lambda: [label.load() for label in labels_of_folder(folder, LabelSet.named("madm11"))],
            *(lambda path=path: read_label_file(path) for path in folder.glob("*.png")),
            *(lambda path=path: read_array(path) for path in folder.iterdir()),
        ]
    )


def _read_all(readers: Sequence[Callable[[], object]]) -> None:
    """Run all of them; raise what is not a MadmError if there is such, else the first error."""
    problems = []
    for read in readers:
        try:
            read()
        except Exception as error:
            problems.append(error)
    problems.sort(key=lambda error: isinstance(error, MadmError))
    if problems:
        raise problems[0]


def _make_texts(folder: Path) -> None:
    folder.mkdir()
    (folder / "map.yaml").write_text("0: 10\n1: 0\n2: 255\n")
    (folder / "mapping.yaml").write_text("0: road\n1: ignore\n2: sky\n")
    shutil.copy(REPOSITORY / "config" / "train" / "cityscapes_to_dsec_event.yaml", folder / "train.yaml")
    polygon = {"label": "road", "polygon": [[0, 0], [5, 0], [5, 5]]}
    (folder / "city_polygons.json").write_text(json.dumps({"imgWidth": 8, "imgHeight": 6, "objects": [polygon]}))


def _read_texts(folder: Path) -> None:
    from madm_core.adaptation.training_config import TrainingConfig
    from madm_core.data.cityscapes import read_train_ids

    _read_all(
        [
            lambda: read_yaml_mapping(folder / "map.yaml"),
            lambda: read_mapping(folder / "mapping.yaml", LabelSet.named("madm11")),
            lambda: load_config(TrainingConfig, folder / "train.yaml"),
            lambda: read_train_ids(folder / "city_polygons.json"),
        ]
    )


def _make_event_files(folder: Path) -> None:
    import h5py
    import hdf5plugin

    folder.mkdir()
    words = np.array([0x8001, 0x6002, 0x0003, 0x2805, 0x6010, 0x4FFF, 0x3003, 0x5011], "<u2")
    (folder / "evt3.raw").write_bytes(b"% evt 3.0\n% format EVT3;height=24;width=32\n% end\n" + words.tobytes() * 8)
    (folder / "evt2.raw").write_bytes(b"% evt 2.0\n% geometry 32x24\n% end\n" + bytes(range(64)))
    (folder / "cd.dat").write_bytes(b"% Width 32\n% Height 24\n% Version 2\n\x0c\x08" + bytes(range(80)))
    with h5py.File(folder / "events.h5", "w") as file:
        group = file.create_group("events")
        for name, kind in (("x", "u2"), ("y", "u2"), ("t", "u4"), ("p", "u1")):
            data = np.arange(200) % 24 if name != "t" else np.arange(200) * 500
            group.create_dataset(name, data=data.astype(kind), chunks=(100,), **hdf5plugin.Blosc())
        file["t_offset"] = 10**6


def _read_event_files(folder: Path) -> None:
    def read(path: Path) -> None:
        for window in open_events(path, bins=3):
            window.grid.sum()

    _read_all([lambda path=path: read(path) for path in sorted(folder.iterdir())])


def _make_checkpoint(folder: Path) -> None:
    save_checkpoint(
        folder, Checkpoint(3, {"w": torch.zeros(4)}, {"optimizer": {"state": {}}, "scaler": None}, {"best": 0.1})
    )
    torch.save({"model": {"w": torch.zeros(3)}, "iteration": 7}, folder / "reference.pth")


def _mend_checkpoint(folder: Path) -> None:
    step = folder / "step_000003"
    names = [path.name for path in sorted(step.iterdir()) if path.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256((step / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (step / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def _read_checkpoint(folder: Path) -> None:
    from madm_core.reference_checkpoint import read_checkpoint_file

    files = sorted(folder.glob("*.pth"))
    readers = [lambda: load_checkpoint(folder / "step_000003")]
    _read_all([*readers, *(lambda path=path: read_checkpoint_file(path) for path in files)])


KINDS = {
    "madm.json": FileKind(_make_model, ("madm.json",), _read_model, structured="json"),
    "model weights": FileKind(
        _make_model, ("*.safetensors", "base/vae/*.safetensors"), _read_model, _mend_model, "madm.json"
    ),
    "base configs": FileKind(
        _make_model, ("base/*/*config.json",), _read_model, _mend_model, "madm.json", "json"
    ),
    "mcap bag": FileKind(lambda folder: _make_bag(folder, "mcap"), ("*.mcap",), _read_bag),
    "sqlite3 bag": FileKind(lambda folder: _make_bag(folder, "sqlite3"), ("*.db3",), _read_bag),
    "bag metadata": FileKind(lambda f: _make_bag(f, "sqlite3"), ("metadata.yaml",), _read_bag, structured="yaml"),
    "message definitions": FileKind(_write_definitions, ("*.msg", "*.idl"), _read_definitions),
    "pictures": FileKind(_make_pictures, ("*",), _read_pictures),
    "YAML and JSON": FileKind(_make_texts, ("*.yaml", "*.json"), _read_texts, structured="yaml"),
    "event files": FileKind(_make_event_files, ("*",), _read_event_files),
    "checkpoints": FileKind(
        _make_checkpoint, ("step_000003/*.pt", "step_000003/*.json", "step_000003/*.safetensors", "*.pth"),
        _read_checkpoint, _mend_checkpoint, "step_000003/SHA256SUMS",
    ),
}  # fmt: skip


WITH_NETWORKS = ("madm.json", "model weights", "base configs")
"""Kinds whose cases build a network, and take a while."""
