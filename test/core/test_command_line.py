import pytest

from madm_core.command_line import command_parser, run_command
from madm_core.errors import DataError


def parse(*words):
    return command_parser("sample", "Does a thing.", ["sample --debug"]).parse_args(words)


def test_user_errors_are_one_line(capsys):
    def fail(_):
        raise DataError("no such bag", got="x.bag", expected="a rosbag2 directory", do="check the path")

    assert run_command(fail, parse()) == 2
    printed = capsys.readouterr().err
    assert printed == "error: no such bag: got x.bag; expected a rosbag2 directory. Check the path\n"
    assert run_command(fail, parse("--debug")) == 2
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes(capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    assert run_command(lambda _: 0, parse()) == 0
    assert run_command(lambda _: 1, parse()) == 1
    assert run_command(interrupt, parse()) == 130


def test_a_bug_is_not_hidden():
    def bug(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(bug, parse())


def test_help_and_version(capsys):
    for option, text in (("--help", "examples:\n  sample --debug"), ("--version", "madm_ros 0.")):
        with pytest.raises(SystemExit) as stop:
            parse(option)
        assert stop.value.code == 0 and text in capsys.readouterr().out
