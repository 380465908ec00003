"""Mutation testing: a small change of a module must make one of its tests fail, or the tests do not guard that line.

Mutmut's operators make the mutants: a number or an operator changed, an argument left out, a condition forced, an
assigned value replaced by None. Mutmut's own runner leaves decorated functions out, and so all event kernels; here each
mutant replaces its module in a fork of a process that has the libraries loaded, and the kernels are compiled from it.
Log lines and errors without a reason are not mutated; errors with one, which users count, are, their texts too.

    make mutants
    python benchmarks/mutants.py [--only NAME] [--sample N] [--seed 0] [--line N] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

import hypothesis
import libcst as cst
import numba
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("madm_core", "madm_ros")
LOADED_BEFORE = (
    "madm_core.adaptation.trainer", "madm_core.events", "madm_core.evaluation.metrics", "madm_core.segmenter",
    "madm_ros.inputs", "hypothesis.extra.numpy", "torchmetrics.classification",
)  # fmt: skip
"""What these import is slow to import and the same for every mutant; they themselves are imported again by each."""


@dataclass(frozen=True)
class Target:
    """A module and the tests that must notice its mutants; ``kernels``: numba compiles it anew for each of them."""

    module: str
    tests: tuple[str, ...]
    kernels: bool = False


VOXEL_TESTS = ("test/core/events/test_voxel_grid.py",)
KERNEL_TESTS = (
    "test/core/events/test_packed_sums.py", "test/core/events/test_grid_accumulator.py", *VOXEL_TESTS,
    "test/core/events/test_streaming.py",
)  # fmt: skip
"""Those first that notice much in little time."""
TARGETS = {
    "metrics": Target("madm_core.evaluation.metrics", ("test/core/evaluation/test_metrics.py",)),
    "image_arrays": Target("madm_core.messages.image_arrays", ("test/core/messages/test_image_arrays.py",)),
    "image_conversion": Target("madm_ros.image_conversion", ("test/ros/test_image_conversion.py",)),
    "checkpoint": Target("madm_core.adaptation.checkpoint", ("test/core/adaptation/test_checkpoint.py",)),
    "voxel_grid": Target("madm_core.events.voxel_grid", VOXEL_TESTS),
    "scatter_grid": Target("madm_core.events.scatter_grid", ("test/core/events/test_scatter_grid.py", *VOXEL_TESTS)),
    "accumulation": Target("madm_core.events.accumulation", KERNEL_TESTS, kernels=True),
    "event_blocks": Target("madm_core.events.event_blocks", KERNEL_TESTS, kernels=True),
    "folding": Target("madm_core.events.folding", KERNEL_TESTS, kernels=True),
    "segments": Target("madm_core.events.segments", ("test/core/events/test_segments.py", *KERNEL_TESTS), kernels=True),
    "packed_sums": Target("madm_core.events.packed_sums", KERNEL_TESTS, kernels=True),
}


@dataclass(frozen=True)
class Mutant:
    """One change of a module."""

    module: cst.Module
    line: int
    node: cst.CSTNode
    other: cst.CSTNode

    @property
    def source(self) -> str:
        """The module's source text with the change."""
        changed = self.module.deep_replace(self.node, self.other)
        assert isinstance(changed, cst.Module)
        return changed.code


class _Changes(cst.CSTVisitor):
    """Collects (line, node, node to put in its place) of everything that is worth changing."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[int, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom)) or _is_text(node):
            return False
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                changed = list(operator(node))
                # Of its three ways to change a string one is enough.
                for other in changed[:1] if operator is operator_string else changed:
                    line = self.get_metadata(PositionProvider, node).start.line
                    self.found.append((line, node, other))
        return True


def _is_text(node: cst.CSTNode) -> bool:
    """Docstrings, what errors say besides their reason, and log lines."""
    if isinstance(node, cst.Expr):
        return isinstance(node.value, cst.BaseString)
    if isinstance(node, cst.Arg):
        return node.keyword is not None and node.keyword.value in ("got", "expected", "do")
    if not isinstance(node, cst.Call):
        return False
    name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    owner = node.func.value if isinstance(node.func, cst.Attribute) else None
    is_log = isinstance(owner, cst.Name) and owner.value == "logger"
    has_reason = any(arg.keyword is not None and arg.keyword.value == "reason" for arg in node.args)
    return is_log or (isinstance(name, cst.Name) and name.value.endswith("Error") and not has_reason)


def mutants_of(source: str) -> list[Mutant]:
    """All mutants of a module, from top to bottom."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    changes = _Changes()
    wrapper.visit(changes)
    return [Mutant(wrapper.module, line, node, other) for line, node, other in changes.found]


class _Replacement(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports one module from another source text, under its own file name."""

    def __init__(self, module: str, source: str) -> None:
        importlib.machinery.SourceFileLoader.__init__(self, module, str(file_of(module)))
        self._source = source
        self.used = False

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        self.used = True
        return compile(self._source, self.path, "exec", dont_inherit=True)


def file_of(module: str) -> Path:
    """Source file of a module of this repository."""
    return ROOT / f"{module.replace('.', '/')}.py"


def outcome(target: Target, source: str, cpu_s: int) -> str:
    """``survived`` when all tests pass with this source, else how it was noticed."""
    child = os.fork()
    if child == 0:
        os._exit(_run_tests(target, source, cpu_s))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        return "too slow" if ended_by in (signal.SIGXCPU, signal.SIGKILL) else f"signal {ended_by}"
    code = os.WEXITSTATUS(status)
    if code in (pytest.ExitCode.NO_TESTS_COLLECTED, _NOT_REPLACED):
        raise RuntimeError(f"{target.tests} do not test {target.module}")
    return "survived" if code == pytest.ExitCode.OK else "killed"


_NOT_REPLACED = 99


def _run_tests(target: Target, source: str, cpu_s: int) -> int:
    """In the forked process: pytest's exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    replacement = _Replacement(target.module, source)
    sys.meta_path.insert(0, replacement)
    with tempfile.TemporaryDirectory() as folder:
        if target.kernels:
            numba.config.CACHE_DIR = folder  # machine code of the sound source must not be taken for the mutant's
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # some of its plugins were imported before
        options += ["--timeout", str(60 * cpu_s)]  # what waits for ever uses no processor
        code = pytest.main([*options, *target.tests])
    return int(code) if replacement.used else _NOT_REPLACED


def shown(original: str, source: str) -> list[str]:
    """The changed lines, as a diff without context."""
    lines = difflib.unified_diff(original.splitlines(), source.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the mutants; 0 when none survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(TARGETS), action="append", help="one module (may be repeated)")
    parser.add_argument("--sample", type=int, help="at most so many mutants of a module, drawn by the seed")
    parser.add_argument("--line", type=int, action="append", help="only mutants of this line (may be repeated)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write all outcomes to this file")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    for name in LOADED_BEFORE:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.startswith(PACKAGES)]:
        del sys.modules[name]
    # A failing example is enough; making it small takes longer than finding it.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", phases=phases, database=None, derandomize=True)
    hypothesis.settings.load_profile("mutants")
    survivors, outcomes = 0, []
    for name in options.only or TARGETS:
        target, original = TARGETS[name], file_of(TARGETS[name].module).read_text(encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        if outcome(target, original, 600) != "survived":
            print(f"{name}: its tests fail already without a mutant", file=sys.stderr)
            return 2
        needed_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        mutants = [m for m in mutants_of(original) if options.line is None or m.line in options.line]
        if options.sample is not None and options.sample < len(mutants):
            drawn = random.Random(options.seed).sample(range(len(mutants)), options.sample)
            mutants = [mutants[index] for index in sorted(drawn)]
        started, counts = time.monotonic(), dict.fromkeys(("killed", "too slow", "survived"), 0)
        for mutant in mutants:
            source = mutant.source
            found = outcome(target, source, 10 + round(2 * needed_s))
            counts[found] = counts.get(found, 0) + 1
            change = shown(original, source)
            outcomes.append({"module": name, "line": mutant.line, "outcome": found, "diff": change})
            if found == "survived":
                survivors += 1
                print(f"{name}:{mutant.line} survived", *change, sep="\n    ", flush=True)
        total = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        print(f"{name}: {len(mutants)} mutants: {total} ({time.monotonic() - started:.0f} s)", flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(outcomes, indent=1) + "\n", encoding="utf-8")
    return 1 if survivors else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
