"""Writes requirements.lock: the packages of constraints.txt with the hashes of the files that pip would install here.

Run it after a change of constraints.txt, once with each Python that the lock shall serve; hashes that are already in
the lock are kept. torch is left out: its CPU and CUDA builds are different files of the same version, from different
indexes, and the CUDA build brings packages of its own.

    python .ci/write_lock.py
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LOCK = REPOSITORY / "requirements.lock"
LEFT_OUT = ("torch",)
HEADER = f"""\
# Made by .ci/write_lock.py: all packages of constraints.txt but {", ".join(LEFT_OUT)}, with the SHA-256 of their files.
# pip install --require-hashes --no-deps --requirement requirements.lock
"""


def normalized(name: str) -> str:
    """A package's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """Name -> version of constraints.txt."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    return {normalized(name): version.split(";")[0].strip() for name, version in pairs}


def known_hashes() -> dict[tuple[str, str], set[str]]:
    """(Name, version) -> hashes of the lock as it is."""
    found: dict[tuple[str, str], set[str]] = {}
    text = LOCK.read_text(encoding="utf-8").replace("\\\n", " ") if LOCK.exists() else ""
    for line in text.splitlines():
        if "==" in line and not line.startswith("#"):
            name, version = line.split()[0].split("==")
            found[name, version] = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
    return found


def resolved(requirements: list[str]) -> dict[tuple[str, str], str]:
    """(Name, version) -> hash of the file that pip chooses on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder) / "wanted.txt", Path(folder) / "report.json"
        wanted.write_text("\n".join(requirements), encoding="utf-8")
        options = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", str(report)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, "--requirement", str(wanted)], check=True)
        packages = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        (normalized(package["metadata"]["name"]), package["metadata"]["version"]): "sha256:"
        + package["download_info"]["archive_info"]["hashes"]["sha256"]
        for package in packages
    }


def main() -> None:
    """Write the lock."""
    wanted = {name: version for name, version in pinned().items() if name not in LEFT_OUT}
    known = known_hashes()
    entries = []
    for key, digest in sorted(resolved([f"{name}=={version}" for name, version in wanted.items()]).items()):
        hashes = sorted({digest, *known.get(key, ())})
        entries.append(" \\\n    ".join([f"{key[0]}=={key[1]}", *(f"--hash={one}" for one in hashes)]))
    LOCK.write_text(HEADER + "\n".join(entries) + "\n", encoding="utf-8")
    print(f"{LOCK.name}: {len(entries)} packages")


if __name__ == "__main__":
    main()
