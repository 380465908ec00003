"""What hostile files must not achieve, and that nothing goes online unless a hub id was given."""

from __future__ import annotations

import ast
import builtins
import hashlib
import io
import json
import os
import pickle
import socket
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from madm_core.adaptation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from madm_core.adaptation.tiny_run import write_tiny_run
from madm_core.adaptation.trainer import Trainer
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.config import load_config, read_yaml_mapping
from madm_core.data.bag import BagReader
from madm_core.data.frames import read_array
from madm_core.data.message_types import MessageTypes
from madm_core.errors import CheckpointError, ConfigError, DataError, MadmError, ModelDirectoryError, shown
from madm_core.export.exporting import ExportOptions, export_model
from madm_core.export.torch_programs import weights_only
from madm_core.model.checksums import find_damage
from madm_core.model.directory_format import read_description
from madm_core.model_directory import load_model_directory
from madm_core.segmenter import Segmenter

REPOSITORY = Path(__file__).resolve().parents[2]
CANARY = "__import__('builtins').madm_canary.append(1)"


class Hostile:
    """Unpickling this runs the canary."""

    def __reduce__(self):
        return eval, (CANARY,)


@pytest.fixture(autouse=True)
def canary(monkeypatch):
    """Fails the test when a file got code to run."""
    ran: list[int] = []
    monkeypatch.setattr(builtins, "madm_canary", ran, raising=False)
    yield
    assert not ran


@pytest.fixture
def no_network(monkeypatch):
    """Every attempt to reach another machine, or to ask for its address, fails the test at once."""

    def refuse(*arguments, **named):
        raise AssertionError(f"network access: {arguments[:2]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_a_model_directory_is_used_without_any_network(tiny_models, no_network):
    segmenter = Segmenter.from_pretrained(tiny_models["depth"], device="cpu")
    assert segmenter.segment(segmenter.modality.to_image(np.full((8, 8), 900, np.uint16))).labels.shape == (8, 8)


def modes_that_others_may_change(folder):
    """Files and folders that group or world can write, or that run as their owner."""
    wrong = stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID
    return [path for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & wrong]


def test_a_training_and_an_export_need_no_network_and_leave_files_to_their_owner(tmp_path, no_network):
    before = os.umask(0o022)
    try:
        config = write_tiny_run(tmp_path, max_steps=1)
        trained = Trainer(load_config(TrainingConfig, config, []), progress=False).run()
        options = ExportOptions("torchscript")
        export_model(load_model_directory(trained.model), tmp_path / "exported", options)
    finally:
        os.umask(before)
    for folder in (tmp_path / "run", tmp_path / "exported"):
        assert len(list(folder.rglob("*"))) >= 2
        assert modes_that_others_may_change(folder) == []
    assert all(path.stat().st_mode & stat.S_IRGRP for path in (tmp_path / "exported").rglob("*"))


def test_a_path_that_is_not_there_is_not_looked_for_online(tmp_path, no_network):
    for missing in (tmp_path / "owner" / "name", str(tmp_path / "model"), "./owner/name", "no_such_model"):
        with pytest.raises(ModelDirectoryError):
            Segmenter.from_pretrained(missing, device="cpu")


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    """All calls of ``name`` and ``module.name`` in a program."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(ast.unparse(call.func), call) for call in found]


def test_the_program_has_no_way_to_run_what_a_file_says():
    files = [
        path for folder in ("madm_core", "madm_ros", "demo", "launch") for path in (REPOSITORY / folder).rglob("*.py")
    ]
    assert len(files) > 100
    for file in files:
        for name, call in calls(ast.parse(file.read_text(encoding="utf-8"))):
            where = f"{file.relative_to(REPOSITORY)}:{call.lineno}: {name}"
            assert name not in ("eval", "exec", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "os.system"), where
            assert not name.startswith(("pickle.", "marshal.", "shelve.", "joblib.", "dill.")), where
            named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            if name == "torch.load":
                assert named.get("weights_only") == "True", where
            if name in ("np.load", "numpy.load"):
                assert named.get("allow_pickle", "False") == "False", where
            assert named.get("shell", "False") == "False", where


@pytest.mark.parametrize(
    "text", [f"!!python/object/apply:eval [\"{CANARY}\"]", "[" * 1200, "a: 2020-99-99", "\x00", "{[1, 2]: 3, {}: 4}"]
)  # fmt: skip
def test_yaml_that_is_no_mapping_of_values(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError):
        read_yaml_mapping(tmp_path / "x.yaml")


def test_an_error_about_a_billion_laughs_is_short(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (tmp_path / "x.yaml").write_text("\n".join(lines))
    assert len(str(ConfigError("it", got=read_yaml_mapping(tmp_path / "x.yaml")))) < 5000
    assert len(shown("x" * 10**7)) < 5000


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format_version": 1e999, "format": "madm model", "files": {}}', "[]"]
)
def test_descriptions_that_parsers_choke_on(tmp_path, text):
    (tmp_path / "madm.json").write_text(text)
    with pytest.raises(ModelDirectoryError):
        read_description(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "base/../../secret"])
def test_a_model_directory_that_names_files_outside_itself(tmp_path, name):
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_text("x")
    damage = find_damage(tmp_path / "model", {name: {"bytes": 1, "sha256": "0"}})
    assert damage is not None and "outside" in damage


@pytest.mark.parametrize(
    "definition",
    [
        f"string NAME={CANARY}\nuint8 a\n", f"uint8 a {CANARY}\n", f"uint8 X={CANARY}\n", "uint8 a\"\"\"\n" + CANARY,
        f"uint8[{CANARY}] a\n", f"string<={CANARY} a\n", f"string a \"{CANARY}\"\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [MessageDefinitionFormat.MSG, MessageDefinitionFormat.IDL])
def test_message_definitions_in_bags_run_nothing(definition, form):
    types = MessageTypes()
    try:
        types.add_definition("evil/msg/Thing", MessageDefinition(form, definition))
        types.decode(bytes(100), "evil/msg/Thing")
    except DataError:
        pass


@pytest.mark.parametrize(
    "name",
    [f"evil/msg/A:\n    {CANARY}\nclass B", f'evil/msg/A"""\n    {CANARY}\n    """', "evil/msg/A;B", "a b/msg/C"],
)
def test_message_types_whose_names_are_programs(name):
    with pytest.raises(DataError):
        MessageTypes().add_definition(name, MessageDefinition(MessageDefinitionFormat.MSG, "uint8 a\n"))


def test_a_bag_that_names_files_outside_itself(tmp_path):
    (tmp_path / "secret.db3").write_bytes(b"x")
    bag = tmp_path / "bag"
    bag.mkdir()
    information = {"storage_identifier": "sqlite3", "relative_file_paths": ["../secret.db3", "/etc/hostname"]}
    (bag / "metadata.yaml").write_text(json.dumps({"rosbag2_bagfile_information": information}))
    with pytest.raises(DataError, match="missing"):
        BagReader(bag)


def test_pickles_are_read_without_running_them(tmp_path):
    with (tmp_path / "array.npy").open("wb") as file:
        np.save(file, np.array([Hostile()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        read_array(tmp_path / "array.npy")
    path = save_checkpoint(tmp_path, Checkpoint(1, {"w": torch.zeros(2)}, {"optimizer": {}, "scaler": None}, {}))
    hostile = pickle.dumps({"optimizer": Hostile()})
    (path / "optimizer.pt").write_bytes(hostile)
    manifest = (path / "SHA256SUMS").read_text().splitlines()
    kept = [line for line in manifest if not line.endswith("optimizer.pt")]
    (path / "SHA256SUMS").write_text("\n".join([*kept, f"{hashlib.sha256(hostile).hexdigest()}  optimizer.pt"]))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_the_second_attempt_of_torch_export_is_switched_off():
    stream = io.BytesIO()
    torch.save({"weight": Hostile()}, stream)
    stream.seek(0)
    with pytest.raises(pickle.UnpicklingError), weights_only():
        torch.load(stream, weights_only=False)  # what torch.export does when weights alone cannot be read


def test_written_files_are_no_ones_to_change_but_their_owners(tiny_models):
    assert modes_that_others_may_change(tiny_models["depth"]) == []


def test_every_error_is_short_and_says_something():
    assert (
        str(MadmError("what", got={"a": [1, 2]}, expected=("x", "y"))) == "what: got {'a': [1, 2]}; expected ('x', 'y')"
    )
