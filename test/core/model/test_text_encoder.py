"""The embedding of the empty prompt; its numbers are tested in test_golden_parity.py."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from madm_core.errors import BaseModelError
from madm_core.model.text_encoder import encode_empty_prompt


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def test_tokens_are_begin_and_end(base: Path) -> None:
    """All that the embedding depends on: the rows of the two special tokens."""
    expected = encode_empty_prompt(base)
    file = base / "text_encoder" / "model.safetensors"
    state = load_file(file)
    name = next(name for name in state if name.endswith("token_embedding.weight"))
    state[name][:512] += 1
    save_file(state, file, metadata={"format": "pt"})
    assert torch.equal(encode_empty_prompt(base), expected)
    state[name][513] += 1
    save_file(state, file, metadata={"format": "pt"})
    assert not torch.equal(encode_empty_prompt(base), expected)


def test_names_of_older_versions(base: Path) -> None:
    """Stable Diffusion 1.4's file has a prefix and a constant that transformers has dropped since."""
    expected = encode_empty_prompt(base)
    file = base / "text_encoder" / "model.safetensors"
    state = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in load_file(file).items()}
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(state, file, metadata={"format": "pt"})
    assert torch.equal(encode_empty_prompt(base), expected)


def test_a_missing_tensor(base: Path) -> None:
    file = base / "text_encoder" / "model.safetensors"
    state = load_file(file)
    lost = next(name for name in state if name.endswith("final_layer_norm.weight"))
    del state[lost]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match="final_layer_norm"):
        encode_empty_prompt(base)


@pytest.mark.parametrize("folder", ["text_encoder", "tokenizer"])
def test_a_missing_folder(base: Path, folder: str) -> None:
    shutil.rmtree(base / folder)
    with pytest.raises(BaseModelError, match=f"no {folder}/"):
        encode_empty_prompt(base)


def test_damaged_weights(base: Path) -> None:
    file = base / "text_encoder" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BaseModelError, match="cannot load the text encoder"):
        encode_empty_prompt(base)


def test_damaged_configuration(base: Path) -> None:
    config = base / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": "wide"}))
    with pytest.raises(BaseModelError, match="text encoder"):
        encode_empty_prompt(base)
