"""Damaged and hostile files into everything that reads files: an error with its reason, and nothing else.

Each case damages one file of a sound recording, model, label map, checkpoint, ... as bytes or in its structure (with
checksums mended, as an attacker would), and opens it the way the commands do. Only a MadmError may come out, within
limits of time and memory, and a canary that hostile files try to run must stay silent.

    python benchmarks/fuzz_files.py [--cases 2000] [--seed 0] [--only KIND] [--json FILE]
"""

from __future__ import annotations

import builtins
import copy
import json
import os
import random
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fuzz_file_kinds import KINDS, FileKind
from fuzzing import Case, Findings, Limits, mutate, run_command, run_isolated

CANARY = "__import__('builtins').madm_canary.append(1)"
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, 10**30, 1e308, float("nan"), "", "x" * 5000, "\u0000", "../../../../etc/passwd",
    "/dev/zero", "/etc", CANARY, "owner/name", [], {}, [[]], {"": {}}, [1, 2, 3], "!!python/object/apply:os.getcwd []",
)  # fmt: skip


class FileCases:
    """Case number -> outcome, for one kind of file."""

    def __init__(self, kind: FileKind, name: str, seed: int, folder: Path) -> None:
        warnings.simplefilter("ignore")  # libraries warn about damaged files, each in its own way
        self._kind, self._name, self._seed = kind, name, seed
        self._sound, self._damaged = folder / "sound", folder / "damaged"
        builtins.madm_canary = []  # type: ignore[attr-defined]
        kind.make(self._sound)
        kind.read(self._sound)  # a kind whose sound files are refused would test nothing
        files = [path for pattern in kind.targets for path in sorted(self._sound.glob(pattern)) if path.is_file()]
        self._files = [path.relative_to(self._sound) for path in files]
        self._contents = [path.read_bytes() for path in files]

    def __call__(self, index: int) -> str:
        """Damage one file, read everything, put the file back; the error that refuses it goes on."""
        rng = random.Random(f"{self._name} {self._seed} {index}")
        if not self._damaged.exists():
            shutil.copytree(self._sound, self._damaged)
        which = rng.randrange(len(self._files))
        file = self._damaged / self._files[which]
        content = self._contents[which]
        structured = self._kind.structured and rng.random() < 0.6
        file.write_bytes(
            _restructured(content, self._kind.structured, rng) if structured
            else mutate(content, rng, rng.choice(self._contents))
        )  # fmt: skip
        try:
            if self._kind.mend:
                self._kind.mend(self._damaged)
            self._kind.read(self._damaged)
        finally:
            file.write_bytes(content)
            if self._kind.manifest:
                shutil.copy(self._sound / self._kind.manifest, self._damaged / self._kind.manifest)
            if builtins.madm_canary:  # type: ignore[attr-defined]
                builtins.madm_canary.clear()  # type: ignore[attr-defined]
                raise RuntimeError("the file ran code")
        return "accepted"


def _restructured(content: bytes, form: str, rng: random.Random) -> bytes:
    """The document with some values replaced by junk, or something that parsers choke on."""
    import yaml

    special = rng.random()
    if special < 0.03:
        return b"[" * 200_000
    if special < 0.06:
        return b'{"a":' * 100_000
    if special < 0.09 and form == "yaml":  # a billion laughs
        lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        return "\n".join(lines).encode()
    if special < 0.12 and form == "yaml":
        return b'!!python/object/apply:eval ["' + CANARY.encode() + b'"]'
    try:
        document = json.loads(content) if content.lstrip().startswith(b"{") else yaml.safe_load(content)
    except ValueError:
        document = {}
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 5))):
        _replace_one(document, rng)
    return (json.dumps(document) if form == "json" else yaml.safe_dump(document, sort_keys=False)).encode()


def _replace_one(node: Any, rng: random.Random) -> None:
    while isinstance(node, (dict, list)) and node:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if not isinstance(node[key], (dict, list)) or not node[key] or rng.random() < 0.25:
            change = rng.random()
            if change < 0.15:
                del node[key]
            elif change < 0.25 and isinstance(node, dict):
                node[str(rng.choice(JUNK))] = node.pop(key)
            else:
                node[key] = copy.deepcopy(rng.choice(JUNK))
            return
        node = node[key]


def fuzz(name: str, cases: int, seed: int) -> Findings:
    """Fuzz a kind of files with so many cases."""
    with tempfile.TemporaryDirectory() as folder:

        def make() -> Case:
            return FileCases(KINDS[name], name, seed, Path(tempfile.mkdtemp(dir=folder)))

        return run_isolated(name, make, range(cases), Limits(seconds=5.0, memory_mib=1024.0))


def main() -> int:
    """Fuzz, print, write JSON if asked to; 1 when there is a problem."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    what = "Damaged and hostile files into everything that reads files."
    return run_command("fuzz_files", what, "cases", 2000, KINDS, fuzz)


if __name__ == "__main__":
    sys.exit(main())
