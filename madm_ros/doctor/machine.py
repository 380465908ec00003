"""The machine, its Python and its packages, and what there is to compute on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys

from packaging.requirements import Requirement

from madm_core import __version__
from madm_core.shipped_files import shipped_folder
from madm_ros.doctor.findings import Finding, Level

_DISTRIBUTION = "madm_ros"
_NOT_FOR_USERS = {"ros", "test", "docs", "dev"}
"""Extras that only developers, or machines without an apt ROS, install."""


def check_machine() -> list[Finding]:
    """Version, system, Python, cores, memory and disk."""
    supported = (3, 10) <= sys.version_info[:2] <= (3, 12)
    shipped = shipped_folder()
    free = shutil.disk_usage(os.path.expanduser("~")).free / 2**30
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        Finding("madm_ros", "ok", __version__),
        Finding(
            "configurations and models of the package",
            "ok" if shipped is not None else "warning",
            "not found" if shipped is None else str(shipped),
            "" if shipped is not None else "install the wheel, build with colcon, or run from a checkout",
        ),
        Finding("system", "ok", f"{platform.platform()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory"),
        Finding(
            "Python",
            "ok" if supported else "warning",
            f"{platform.python_version()} at {sys.executable}",
            "" if supported else "3.10 to 3.12 are what the tests run on",
        ),
        Finding(
            "disk",
            "ok" if free > 10 else "warning",
            f"{free:.0f} GiB free in the home directory",
            "" if free > 10 else "Stable Diffusion and one training run want about 20 GiB",
        ),
    ]


def check_packages() -> list[Finding]:
    """Every Python package that this one asks for, by the metadata of the installation."""
    try:
        wanted = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [
            Finding(
                _DISTRIBUTION,
                "warning",
                "runs from a source tree that is not installed, so its requirements are not known",
                "run: pip install -c constraints.txt --no-deps -e .",
            )
        ]
    requirements = [Requirement(text) for text in wanted]
    findings = [_package(requirement) for requirement in requirements if _applies(requirement, "")]
    for extra in sorted(importlib.metadata.metadata(_DISTRIBUTION).get_all("Provides-Extra") or []):
        if extra in _NOT_FOR_USERS:
            continue
        packages = [_package(r) for r in requirements if _applies(r, extra) and not _applies(r, "")]
        wrong = [package for package in packages if package.level != "ok"]
        findings.append(
            Finding(
                f"extra {extra}",
                "note" if wrong else "ok",
                ", ".join(f"{package.subject} {package.text}" for package in wrong or packages),
                f"for this extra: pip install '{_DISTRIBUTION}[{extra}]'" if wrong else "",
            )
        )
    return findings


def _applies(requirement: Requirement, extra: str) -> bool:
    """Whether a package is wanted on this machine with an extra, or with none."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _package(requirement: Requirement) -> Finding:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(requirement.name, "error", "not installed", f"run: pip install '{requirement}'")
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(
            requirement.name,
            "error",
            f"{version}, but {requirement.specifier} is needed",
            f"run: pip install '{requirement}'",
        )
    return Finding(requirement.name, "ok", version)


def check_compute() -> list[Finding]:
    """What torch can compute on. Imports torch, which takes seconds."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Finding("torch", "error", f"cannot be imported: {error}", "install PyTorch as pytorch.org describes")]
    threads = torch.get_num_threads()
    findings = [Finding("CPU", "ok", f"torch {torch.__version__} with {threads} thread(s)")]
    if not torch.cuda.is_available():
        built = torch.version.cuda
        level: Level = "warning" if built else "note"
        reason = f"torch is built for CUDA {built} but sees no device" if built else "torch is the CPU build"
        do = "check nvidia-smi and the driver" if built else "where there is an NVIDIA GPU: install torch's CUDA build"
        return [*findings, Finding("CUDA", level, f"none: {reason}; models run on the CPU", do)]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        free, total = (value / 2**30 for value in torch.cuda.mem_get_info(index))
        text = f"{properties.name}, compute capability {properties.major}.{properties.minor}, {total:.1f} GiB"
        findings.append(Finding(f"cuda:{index}", "ok", f"{text} of which {free:.1f} are free"))
    return findings
