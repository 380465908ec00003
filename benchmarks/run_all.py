"""Runs the CPU set of the benchmarks one after the other and leaves their numbers in benchmarks/results/.

    python benchmarks/run_all.py [--full]

Nothing else should run on the machine. Ratios within one table mean something, single times do not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Runs all; 0 when all of them ended well."""
    parser = argparse.ArgumentParser(description="Run the CPU benchmarks.")
    parser.add_argument("--full", action="store_true", help="all sizes and the long ones; hours instead of minutes")
    full = parser.parse_args().full
    commands = {
        "events": ["events.py"] if full else ["events.py", "--quick"],
        "inference": ["inference.py"],
        "node_stages": ["node_stages.py"],
        "preview_cost": ["preview_cost.py"],
        "node_latency": ["node_latency.py", "--seconds", "20" if full else "6"],
    }
    if full:
        commands |= {
            "event_node": ["event_node.py"],
            "student": ["student.py"],
            "training_step": ["training_step.py", "--size", "tiny"],
            "faults": ["faults.py"],
            "fuzz_messages": ["fuzz_messages.py"],
            "fuzz_files": ["fuzz_files.py"],
            "endurance": ["endurance.py"],
            "bag_memory": ["bag_memory.py"],
        }
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    failed = []
    for name, command in commands.items():
        print(f"== {name}", flush=True)
        began = time.monotonic()
        ended = subprocess.run([sys.executable, HERE / command[0], *command[1:], "--json", results / f"{name}.json"])
        print(f"== {name}: exit code {ended.returncode} after {time.monotonic() - began:.0f} s\n", flush=True)
        if ended.returncode:
            failed.append(name)
    print(f"numbers are in {results}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
