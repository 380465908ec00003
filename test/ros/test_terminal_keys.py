"""Keys of a terminal that the test holds the other end of."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from madm_ros.terminal_keys import TerminalKeys

# A session with a terminal of its own, as a shell has; its job is in the foreground, or in a process group beside it.
SHELL = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = subprocess.Popen([sys.executable, "-c", sys.argv[1]], preexec_fn=os.setpgrp if sys.argv[2] == "&" else None)
_, status = os.waitpid(job.pid, os.WUNTRACED)
if os.WIFSTOPPED(status):
    job.kill()
    sys.exit(f"stopped by {signal.Signals(os.WSTOPSIG(status)).name}")
sys.exit(os.waitstatus_to_exitcode(status))
"""
JOB = """
import termios
from madm_ros.terminal_keys import TerminalKeys

def waits_for_lines():
    return bool(termios.tcgetattr(0)[3] & termios.ICANON)

with TerminalKeys() as keys:
    print("lines" if waits_for_lines() else "keys", keys.wait(0.01))
assert waits_for_lines()
"""


@pytest.fixture
def terminal():
    """(the keyboard, the terminal): two file descriptors."""
    keyboard, end = pty.openpty()
    yield keyboard, end
    os.close(keyboard)
    os.close(end)


@pytest.mark.parametrize(("place", "said"), [("", "keys None\n"), ("&", "lines None\n")])
def test_a_job_in_the_background_leaves_the_terminal_alone(terminal, place, said):
    """A shell's system stops a job that does not."""
    command = [sys.executable, "-c", SHELL, JOB, place]
    ended = subprocess.run(
        command, stdin=terminal[1], capture_output=True, text=True, timeout=60, check=False, start_new_session=True
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == (said, "", 0)


def test_keys_that_are_pressed_at_once_come_one_after_the_other(terminal, monkeypatch):
    keyboard, end = terminal
    with os.fdopen(os.dup(end)) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        with TerminalKeys() as keys:
            assert keys.wait(0.0) is None
            os.write(keyboard, b"a b")
            assert [keys.wait(10.0), keys.wait(10.0), keys.wait(10.0)] == ["a", " ", "b"]
            assert keys.wait(0.0) is None


def test_without_a_terminal_there_are_no_keys(monkeypatch):
    with open(os.devnull) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        with TerminalKeys() as keys:
            assert keys.wait(0.01) is None
