"""What the benchmarks share about processes: keeping them to themselves, and what Linux says of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PROFILE = REPOSITORY / "config" / "fastdds_shared_memory.xml"


def isolate() -> None:
    """Keep this process and its children away from other nodes; before any context is made.

    SIGTERM raises SystemExit from here on: without, whoever is killed leaves the nodes behind that it has started.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILE))


def event_message_packages() -> list[str]:
    """Folders for Python's path with the packages of the event messages, built where they are not installed."""
    build = REPOSITORY / "test" / "interfaces" / "build_interfaces.py"
    built = subprocess.run([sys.executable, str(build)], capture_output=True, text=True, check=True)
    return [line for line in built.stdout.strip().splitlines()[-1:] if line]


def process_status(process: int | str = "self") -> dict[str, int]:
    """The numbers in /proc/PROCESS/status (Linux) by name: memory in KiB, and counts."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    fields = [line.replace(":", " ", 1).split() for line in lines]
    return {field[0]: int(field[1]) for field in fields if len(field) > 1 and field[1].isdigit()}


_AS_SEGMENT_BEGINS = """
import runpy, sys
from madm_ros.process_memory import keep_freed_memory
keep_freed_memory()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def node_command(script: Path, *arguments: str) -> list[str]:
    """Runs a script that makes a node as ``segment`` begins: with its memory set up before NumPy is imported."""
    return [sys.executable, "-c", _AS_SEGMENT_BEGINS, str(script), *arguments]
