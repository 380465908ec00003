"""Exit codes, messages and the last words of every command."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from madm_core.command_line import FAILED, Outcome, command_parser, run_command
from madm_core.errors import DataError, WorkError


def run(work, *words, **options):
    return run_command(command_parser("sample", "Does a thing.", ["sample --debug"], **options), work, words)


def raising(error):
    def work(_):
        raise error

    return work


def test_unusable_input_is_one_line(capsys):
    error = DataError("no such bag", got="x.bag", expected="a rosbag2 directory", do="check the path")
    assert run(raising(error)) == 2
    printed, errors = capsys.readouterr()
    assert errors == "error: no such bag: got x.bag; expected a rosbag2 directory. Check the path\n" and not printed
    assert run(raising(error), "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes(capsys):
    assert run(lambda _: Outcome()) == 0
    assert run(lambda _: Outcome(FAILED)) == 1
    assert run(raising(WorkError("it diverged"))) == 1
    assert run(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "error: it diverged\ninterrupted\n"


def test_a_bug_keeps_its_traceback_in_a_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(raising(ZeroDivisionError("division by zero"))) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: this is a bug in sample: ZeroDivisionError: division by zero (test_command_line.py")
    assert "Traceback" not in said
    (kept,) = tmp_path.iterdir()
    assert said.endswith(f"The traceback is in {kept}\n") and "ZeroDivisionError" in kept.read_text()

    assert run(raising(ZeroDivisionError("division by zero")), "--debug") == 1
    assert "Traceback" in capsys.readouterr().err and list(tmp_path.iterdir()) == [kept]


def test_a_full_disk_is_not_called_a_bug(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))
    assert run(raising(OSError(28, "No space left on device", "a.bag"))) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: OSError: [Errno 28] No space left on device: 'a.bag' (test_command_line.py, line ")
    assert said.endswith("Run it again with --debug for the traceback\n")


def test_the_summary_says_where_and_what_next(capsys):
    outcome = Outcome(results=[Path("runs/model")], next_steps=["segment --model runs/model"], facts={"steps": 3})
    assert run(lambda _: outcome) == 0
    assert capsys.readouterr().out == "written: runs/model\nnext: segment --model runs/model\n"


def test_a_machine_gets_one_object_and_people_the_rest(capsys):
    def work(_):
        print("for people")
        return Outcome(FAILED, results=[Path("runs/model")], facts={"steps": 3, "iou": [float("nan"), 0.5]})

    assert run(work, "--json") == 1
    printed, errors = capsys.readouterr()
    answer = json.loads(printed)
    assert (answer["command"], answer["exit_code"], answer["error"]) == ("sample", 1, None)
    assert (answer["results"], answer["next_steps"]) == (["runs/model"], [])
    assert answer["facts"] == {"steps": 3, "iou": [None, 0.5]}
    assert errors == "for people\n"
    assert run(raising(KeyboardInterrupt()), "--json") == 130
    assert json.loads(capsys.readouterr().out)["error"] == "interrupted"


def test_what_runs_until_it_is_stopped_answers_no_json(capsys):
    with pytest.raises(SystemExit):
        run(lambda _: Outcome(), "--json", answers_json=False)
    assert "--json" in capsys.readouterr().err


def test_words_and_options_may_be_mixed():
    parser = command_parser("sample", "Does a thing.", ["sample"])
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--config")
    seen = []
    run_command(parser, lambda chosen: seen.append(chosen.overrides) or Outcome(), ["a=1", "--config", "c", "b=2"])
    assert seen == [["a=1", "b=2"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_errors_are_red_for_those_who_want_it(monkeypatch, no_color, coloured):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run(raising(DataError("no such bag"))) == 2
    assert terminal.getvalue() == ("\x1b[31merror:\x1b[0m" if coloured else "error:") + " no such bag\n"


def test_libraries_draw_no_bars_into_a_log_file():
    program = (
        "from madm_core.command_line import Outcome, command_parser, run_command\n"
        "def work(_):\n"
        "    from tqdm import tqdm\n"
        "    list(tqdm(range(3)))\n"
        "    return Outcome()\n"
        "run_command(command_parser('sample', 'Does a thing.', ['sample']), work, [])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_readers_that_leave_are_no_error(monkeypatch, capfd, tmp_path):
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert run(raising(BrokenPipeError())) == 0
    assert capfd.readouterr().err == ""


def process(work: str, *words: str) -> list[str]:
    """The command line of a process that does the work, an expression."""
    program = f"""
import logging, sys
from madm_core.command_line import INTERRUPTED, Outcome, command_parser, run_command
from madm_core.errors import DataError

def raising(error):
    raise error

sys.exit(run_command(command_parser("sample", "Does a thing.", ["sample"]), lambda _: {work}, {list(words)}))
"""
    return [sys.executable, "-c", program]


@pytest.mark.parametrize(
    ("work", "words", "code"),
    [
        ("raising(KeyboardInterrupt())", (), 130),
        ("raising(DataError('no such bag'))", (), 2),
        ("raising(DataError('no such bag'))", ("--debug",), 2),
        ("logging.info('half way') or Outcome(INTERRUPTED)", (), 130),
    ],
)
def test_a_stderr_that_cannot_be_written_leaves_the_exit_code_alone(unwritable, work, words, code):
    assert subprocess.run(process(work, *words), stderr=unwritable, timeout=60, check=False).returncode == code


@pytest.mark.parametrize(
    ("work", "code"), [("Outcome(results=['model'])", 0), ("Outcome(INTERRUPTED, results=['model'])", 130)]
)
def test_readers_that_leave_change_no_exit_code(broken_pipe, work, code):
    """What `tee` leaves behind when Ctrl-C ends it: neither stdout nor stderr can be written."""
    ended = subprocess.run(process(work), stdout=broken_pipe, stderr=broken_pipe, timeout=60, check=False)
    assert ended.returncode == code


def test_a_reader_of_stdout_that_leaves_is_no_error(broken_pipe):
    ended = subprocess.run(
        process("print('row', flush=True) or Outcome()"),
        stdout=broken_pipe,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.fixture(autouse=True)
def own_process(monkeypatch):
    """run_command sets up log and environment of a process; the next test must find them as they were."""
    monkeypatch.setenv("TQDM_DISABLE", "")
    monkeypatch.delenv("TQDM_DISABLE")
    before = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = before
