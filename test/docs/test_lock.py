"""requirements.lock holds what constraints.txt pins, with hashes: changed alone, one would contradict the other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.\-]+)==([^;\s\\]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version for name, version in PIN.findall((ROOT / file).read_text("utf-8"))
    }


def test_the_lock_pins_what_the_constraints_pin():
    constraints = pins("constraints.txt")
    assert constraints.pop("torch")  # its CPU and CUDA builds are different files of one version
    assert pins("requirements.lock") == constraints, "run: python .ci/write_lock.py"


def test_every_locked_package_has_a_hash():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.split("requirements.lock\n", 1)[1].strip())
    assert len(entries) > 200
    assert all("--hash=sha256:" in entry for entry in entries)
