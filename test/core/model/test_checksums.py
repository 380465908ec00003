"""Hashes of weights and files."""

from pathlib import Path

import pytest
import torch

from madm_core.model.checksums import directory_checksums, file_sha256, find_damage, weights_sha256


def test_weights_do_not_depend_on_their_storage() -> None:
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1.5)}
    expected = weights_sha256(weights)
    assert weights_sha256(dict(reversed(weights.items()))) == expected
    assert weights_sha256({**weights, "a": weights["a"].half()}) == expected  # these values are exact in half precision
    assert weights_sha256({**weights, "a": weights["a"].T.contiguous().T}) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.arange(6.0).reshape(3, 2), "b": torch.tensor(1.5)},
        {"a": torch.arange(6.0).reshape(2, 3) + 1e-6, "b": torch.tensor(1.5)},
        {"c": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1.5)},
        {"a": torch.arange(6.0).reshape(2, 3)},
    ],
)
def test_weights_that_differ(other: dict[str, torch.Tensor]) -> None:
    assert weights_sha256(other) != weights_sha256({"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1.5)})


def test_file_longer_than_a_chunk(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\0" * 5_000_000)
    # From sha256sum.
    assert file_sha256(file) == "b39781589c4403fb82174c9647a010464cff38bad976547d339899b00053a545"


def test_damage_is_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("abc")
    checksums = directory_checksums(tmp_path)
    assert list(checksums) == ["sub/a"]
    assert find_damage(tmp_path, checksums) is None
    (tmp_path / "sub" / "a").write_text("abd")
    assert find_damage(tmp_path, checksums) == "sub/a does not have the checksum that it was written with"
    (tmp_path / "sub" / "a").write_text("ab")
    assert find_damage(tmp_path, checksums) == "sub/a has 2 of 3 bytes"
    (tmp_path / "sub" / "a").unlink()
    assert find_damage(tmp_path, checksums) == "sub/a is missing"
