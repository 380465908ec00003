"""Ctrl-C and SIGTERM, once and again, in the middle of whatever is going on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from madm_core.interruption import (
    AFTER_FRAME,
    AFTER_STEP,
    EndingSignals,
    Interrupted,
    Interruption,
    deaf_children,
    raising_interrupted,
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_is_remembered_and_the_handlers_come_back(number):
    before = signal.getsignal(number)
    with Interruption(AFTER_STEP) as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), number)
        assert interruption.requested
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_stops_at_once_a_second_sigterm_does_not():
    with Interruption(AFTER_STEP):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_launcher_repeats_its_signals():
    with Interruption(AFTER_FRAME, relayed=True) as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()


def test_signals_raise_where_nobody_else_hears_them():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with raising_interrupted(signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(Interrupted):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_hears_the_first_signal_only(number, signals_come_back):
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    with EndingSignals() as unused:
        pass
    assert not unused.received
    assert {each: signal.getsignal(each) for each in before} == before
    reached: list[str] = []
    # The command's own handling of Ctrl-C must not come back either, before the process has ended.
    with raising_interrupted(signal.SIGINT), EndingSignals() as signals:
        try:
            os.kill(os.getpid(), number)
            reached.append("the line after the signal")
        finally:
            os.kill(os.getpid(), number)
            reached.append("the end of what was interrupted")
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received
    assert reached == ["the end of what was interrupted"]


def test_other_exceptions_pass_a_node_by():
    with pytest.raises(ValueError, match="another"), EndingSignals():
        raise ValueError("another")


@pytest.mark.parametrize("inside", ["raising_interrupted(signal.SIGINT)", "contextlib.nullcontext()"])
def test_ctrl_c_while_a_dataclass_is_defined_leaves_the_exit_code_alone(tmp_path, inside):
    """The second case is the interpreter's own behaviour, without which there would be nothing to mend."""
    (tmp_path / "work.py").write_text(f"""
import contextlib, os, signal, sys
from madm_core.interruption import raising_interrupted
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with {inside}:
        exec("os.kill(os.getpid(), signal.SIGINT)")
except KeyboardInterrupt:
    sys.exit(7)
""")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    ended = subprocess.run([sys.executable, "-m", "work"], env=environment, timeout=60, check=False)
    assert ended.returncode == (7 if "raising" in inside else -signal.SIGINT)


def test_a_signal_in_the_middle_of_a_write_to_the_same_stream_does_no_harm():
    """Python refuses to write to a stream from a handler that interrupted a write to it."""
    code = """
import io, os, signal, sys
from madm_core.interruption import AFTER_STEP, Interruption

class Raw:
    closed = False
    def write(self, data):
        os.kill(os.getpid(), signal.SIGTERM)
        return os.write(2, data)
    def flush(self): pass
    def readable(self): return False
    def writable(self): return True
    def seekable(self): return False

sys.stderr = io.TextIOWrapper(io.BufferedWriter(Raw()), line_buffering=True)
with Interruption(AFTER_STEP) as interruption:
    print("written", file=sys.stderr)
    assert interruption.requested
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "written" in ended.stderr
    assert "SIGTERM: finishing this step" in ended.stderr


def test_a_stderr_that_cannot_be_written_does_not_break_into_the_work(unwritable):
    """Such as a pipe to `tee`, which the same Ctrl-C has ended."""
    code = """
import os, signal
from madm_core.interruption import AFTER_STEP, Interruption

with Interruption(AFTER_STEP) as interruption:
    os.kill(os.getpid(), signal.SIGINT)
    print("saved", interruption.requested)
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=unwritable, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "saved True\n")


def test_children_do_not_hear_what_the_parent_does():
    with deaf_children():
        child = subprocess.Popen([sys.executable, "-c", "input(); print('alive')"], stdin=-1, stdout=-1, text=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        child.send_signal(number)
    assert child.communicate("\n", timeout=30)[0] == "alive\n"
    assert child.returncode == 0


def test_a_signal_during_the_start_of_children_is_delivered_afterwards():
    with Interruption(AFTER_STEP) as interruption:
        with deaf_children():
            # To this thread: one sent to the process may go to a thread of the test runner, which nothing blocks.
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert not interruption.requested
        assert interruption.requested
