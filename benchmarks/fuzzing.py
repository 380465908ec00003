"""What both fuzzers share: byte mutations, a runner in whose child a crash or hang is one finding, the command line."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import resource
import select
import signal
import struct
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from processes import process_status

from madm_core.errors import InvalidInputError, MadmError
from madm_ros.process_memory import give_back_freed_memory

INTERESTING = (0, 1, 2, 255, 32767, 32768, 65535, 65536, 10**9, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
"""Values at which lengths and sizes overflow, wrap or ask for more memory than there is."""

HANG_S = 300.0
"""A case without an answer for so long is ended and counted as a hang. Limits are in time of the processor: on a busy
machine a child that gets little of it may be silent for a minute while it imports."""

Case = Callable[[int], str]


def mutate(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """One to three random changes of ``data``; ``other`` serves as the second half of splices."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _mutate_once(changed, rng, other)
    return bytes(changed)


def _mutate_once(data: bytearray, rng: random.Random, other: bytes) -> None:
    kind = rng.randrange(10)
    size = len(data)
    if size == 0 or kind == 0:
        data += rng.randbytes(rng.choice((1, 3, 16, 300)))
        return
    # Lengths, sizes and encodings stand at the front, so that half of all changes go there.
    at = rng.randrange(min(size, 120)) if rng.random() < 0.5 else rng.randrange(size)
    if kind <= 2:
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(at, min(size, at + 64))] ^= 1 << rng.randrange(8)
    elif kind <= 5:
        at -= at % 4
        number = rng.choice((*INTERESTING, size, size - at, rng.getrandbits(32)))
        packed = struct.pack(rng.choice("<>") + "I", number)
        data[at : at + 4] = packed[: max(0, min(4, size - at))]
    elif kind == 6:
        del data[at:]
    elif kind == 7:
        data[at : at + rng.choice((1, 4, 8, 64))] = b"" if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 4, 9)))
    elif kind == 8:
        data[at:] = other[rng.randrange(len(other) + 1) :]
    else:
        part = data[at : at + rng.choice((4, 16, 200))]
        data[at:at] = part * rng.choice((1, 2, 20))


@dataclass
class Limits:
    """What one case may take: seconds of the processor, and MiB of address space that was not mapped before it."""

    seconds: float = 2.0
    memory_mib: float = 256.0


@dataclass
class Findings:
    """What became of all cases of one kind."""

    name: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    slowest: int = -1
    wall_s: float = 0.0
    rss_mib: list[float] = field(default_factory=list)
    highest_mib: float = 0.0
    largest_growth_mib: float = 0.0

    @property
    def accepted(self) -> int:
        """Cases that were used."""
        return sum(number for outcome, number in self.outcomes.items() if outcome.startswith("accepted"))

    @property
    def rejected(self) -> int:
        """Cases that were refused with a reason."""
        return sum(number for outcome, number in self.outcomes.items() if outcome.startswith("rejected"))

    @property
    def early_and_end_mib(self) -> tuple[float, float] | tuple[None, None]:
        """Resident memory when caches have filled, and at the end, without what the C library keeps of freed blocks."""
        return (self.rss_mib[:2][-1], self.rss_mib[-1]) if self.rss_mib else (None, None)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "name": self.name, "cases": self.cases, "accepted": self.accepted, "rejected": self.rejected,
            "outcomes": dict(self.outcomes.most_common()), "problems": self.problems[:200],
            "slowest_ms": self.slowest_ms, "slowest_case": self.slowest, "wall_s": self.wall_s,
            "rss_mib_early": self.early_and_end_mib[0], "rss_mib_end": self.early_and_end_mib[1],
            "rss_mib": self.rss_mib, "rss_mib_highest": self.highest_mib, "largest_growth_mib": self.largest_growth_mib,
        }  # fmt: skip


def run_isolated(name: str, make: Callable[[], Case], cases: range, limits: Limits) -> Findings:
    """Run ``make()(i)`` for every case in a child process; after a crash or hang another child goes on behind it.

    A case returns what became of it, beginning with ``accepted`` or ``rejected``. A MadmError is a rejection; any other
    exception, a dead or silent process, and whatever exceeds the limits is a problem.
    """
    findings = Findings(name)
    began = time.monotonic()
    position = cases.start
    while position < cases.stop:
        position = _run_child(findings, make, range(position, cases.stop), limits)
        if len(findings.problems) >= 200:
            findings.problems.append("given up after 200 problems")
            break
    findings.wall_s = time.monotonic() - began
    return findings


def _run_child(findings: Findings, make: Callable[[], Case], cases: range, limits: Limits) -> int:
    """Returns the first case that is still to be run."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _child(sink, make, cases, limits)
    os.close(sink)
    position, ending = cases.start, ""
    rest = b""
    while True:
        if not select.select([source], [], [], HANG_S)[0]:
            ending = f"no answer for {HANG_S:.0f} s"
            os.kill(child, signal.SIGKILL)
            break
        block = os.read(source, 1 << 16)
        if not block:
            break
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            position = _take_line(findings, line.decode(errors="replace"), position, limits)
    os.close(source)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != 0 or ending:
        code = os.waitstatus_to_exitcode(status)
        findings.problems.append(f"case {position}: {ending or f'the process ended with {code}'}")
        findings.outcomes["problem: crash or hang"] += 1
        findings.cases += 1
        position += 1
    return position


def _take_line(findings: Findings, line: str, position: int, limits: Limits) -> int:
    mark, *parts = line.split("\t")
    if mark == "memory":
        findings.rss_mib.append(float(parts[0]))
        findings.highest_mib = max(findings.highest_mib, float(parts[1]))
        return position
    seconds, growth_mib, outcome = float(parts[0]), float(parts[1]), parts[2]
    findings.cases += 1
    findings.outcomes[outcome.partition(" at ")[0]] += 1
    findings.largest_growth_mib = max(findings.largest_growth_mib, growth_mib)
    if seconds * 1e3 > findings.slowest_ms:
        findings.slowest_ms, findings.slowest = seconds * 1e3, int(mark)
    if outcome.startswith("problem"):
        findings.problems.append(f"case {mark}: {outcome}")
    if seconds > limits.seconds:
        findings.problems.append(f"case {mark}: took {seconds:.2f} s ({outcome})")
    if growth_mib > limits.memory_mib:
        findings.problems.append(f"case {mark}: asked for {growth_mib:.0f} MiB ({outcome})")
    return int(mark) + 1


def _child(sink: int, make: Callable[[], Case], cases: range, limits: Limits) -> None:
    faulthandler.enable()
    code = 1
    try:
        case = make()
        # Not a second chance but a safety net for the machine: what asks for more than the limit is reported anyway.
        ceiling = _mapped_mib("VmSize") + max(4096.0, 4 * limits.memory_mib)
        resource.setrlimit(resource.RLIMIT_AS, (int(ceiling * 2**20), resource.RLIM_INFINITY))
        peak_mib = _mapped_mib("VmPeak")
        # A multiple of the distance between good messages: a claimed sensor's grids may be held until those come.
        sample_every = max(len(cases) // 20 // 250, 1) * 250
        for index in cases:
            began = time.process_time()  # of the processor: on a busy machine every case takes long
            outcome = run_case(case, index)
            seconds = time.process_time() - began
            before_mib, peak_mib = peak_mib, _mapped_mib("VmPeak")
            line = f"{index}\t{seconds:.6f}\t{peak_mib - before_mib:.1f}\t{outcome}\n"
            if index % sample_every == 0:
                highest_mib = _mapped_mib("VmHWM")
                # Claimed sensors of millions of pixels leave holes of some hundred MiB in glibc's heap: no leak, but
                # they would hide one.
                give_back_freed_memory()
                line += f"memory\t{_mapped_mib('VmRSS'):.1f}\t{highest_mib:.1f}\n"
            os.write(sink, line.encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # no clean-up of what the parent still owns


def run_case(case: Case, index: int) -> str:
    """What became of a case; never raises."""
    try:
        outcome = case(index)
    except InvalidInputError as error:
        outcome = f"rejected: {error.reason}"
    except MadmError as error:
        outcome = f"rejected: {type(error).__name__}"
        if len(str(error)) > 20_000:
            outcome = f"problem: an error message of {len(str(error))} characters"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        outcome = f"problem: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:160]}"
    return " ".join(outcome.split())


def _mapped_mib(entry: str) -> float:
    return process_status()[entry] / 1024


def print_findings(all_findings: list[Findings]) -> None:
    """A Markdown table (resident memory early, at the end and at its highest), reasons of rejections, every problem."""
    print("| what | cases | used | rejected | problems | slowest ms | largest request MiB | RSS MiB | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for one in all_findings:
        memory = " / ".join("-" if mib is None else f"{mib:.0f}" for mib in (*one.early_and_end_mib, one.highest_mib))
        print(
            f"| {one.name} | {one.cases} | {one.accepted} | {one.rejected} | {len(one.problems)} "
            f"| {one.slowest_ms:.1f} | {one.largest_growth_mib:.0f} | {memory} | {one.wall_s:.0f} |"
        )
    for one in all_findings:
        print(f"\n{one.name}: " + ", ".join(f"{number} {outcome}" for outcome, number in one.outcomes.most_common()))
        for problem in one.problems[:40]:
            print(f"  {problem}")


def run_command(
    name: str, what: str, unit: str, default: int, kinds: Iterable[str], fuzz: Callable[[str, int, int], Findings]
) -> int:
    """The fuzzers' command line: fuzz, print, write JSON if asked to; 1 when there is a problem.

    Args:
        name: The benchmark's name, for JSON.
        what: What it does, for ``--help``.
        unit: What the option for the number of cases is called.
        default: How many there are of each kind unless it says otherwise.
        kinds: What can be fuzzed.
        fuzz: Fuzzes one kind with so many cases and a seed.
    """
    names = list(kinds)
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument(f"--{unit}", dest="number", type=int, default=default, help=f"{unit} of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=names, action="append", help="this kind only; may be repeated")
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    findings = [fuzz(kind, arguments.number, arguments.seed) for kind in arguments.only or names]
    print_findings(findings)
    if arguments.json:
        results = [one.to_dict() for one in findings]
        arguments.json.write_text(json.dumps({"benchmark": name, "results": results}, indent=2) + "\n")
    return 1 if any(one.problems for one in findings) else 0
