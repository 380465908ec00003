"""Does a signal crash rclpy while a guard condition goes? Why madm_ros/node_run.py leaves its signal handlers out.

rclpy answers a signal in a thread of its own, which walks through a list of guard conditions while whoever destroys one
replaces and frees that list. A child process makes and destroys guard conditions, as executors do, under SIGTERM.

    python benchmarks/rclpy_signals.py [--seconds 10]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version


def make_and_destroy(seconds: float) -> None:
    """Under signals, until it crashes or the time is over."""
    import rclpy
    from rclpy.signals import SignalHandlerGuardCondition

    rclpy.init()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            context = rclpy.Context()
            context.init()  # each signal shuts all contexts down
            conditions = [SignalHandlerGuardCondition(context) for _ in range(30)]
            os.kill(os.getpid(), signal.SIGTERM)
            for condition in conditions:
                condition.destroy()
        except RuntimeError:  # RCLError: a signal came before its context was used
            continue


def main() -> int:
    """Print what became of the child; 0 either way: this tells about rclpy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        make_and_destroy(arguments.seconds)
        return 0
    began = time.monotonic()
    command = [sys.executable, __file__, "--child", "--seconds", str(arguments.seconds)]
    code = subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode
    ended = "survived" if code == 0 else f"ended with {signal.Signals(-code).name if code < 0 else code}"
    print(f"rclpy {version('rclpy')}: {ended} after {time.monotonic() - began:.1f} s, its start included")
    return 0


if __name__ == "__main__":
    sys.exit(main())
