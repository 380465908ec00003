"""What all commands share: options, exit codes, what is said at the end, and how an error is shown.

A command is a parser of :func:`command_parser` and a function that takes the parsed arguments, does the work and
returns an :class:`Outcome`; :func:`run_command` does the rest. This module imports nothing that takes long: ``--help``
and the completion of a shell must not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import signal
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from madm_core import __version__
from madm_core.errors import MadmError, WorkError
from madm_core.interruption import raising_interrupted
from madm_core.terminal import coloured, shows_progress, wants_colour

SUCCESS, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; the work itself failed; the input cannot be used; ended by Ctrl-C."""

_EXIT_CODES = "0 success, 1 the work failed, 2 the input cannot be used, 130 interrupted"


@dataclass(frozen=True)
class Outcome:
    """What a command has come to, said once at its end.

    Args:
        code: The exit code.
        results: The files and folders that were written.
        next_steps: What a user would do now: command lines, or sentences.
        facts: What a machine may want to know (``--json``), JSON-ready.
    """

    code: int = SUCCESS
    results: Sequence[str | os.PathLike[str]] = ()
    next_steps: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


Work = Callable[[argparse.Namespace], Outcome]


def command_parser(
    name: str, description: str, examples: Sequence[str], *, exit_codes: str = _EXIT_CODES, answers_json: bool = True
) -> argparse.ArgumentParser:
    """A parser with the options that all commands have, and the examples at the end of ``--help``.

    Args:
        name: Of the command.
        description: What it does.
        examples: Command lines.
        exit_codes: What they mean, where it is not the usual.
        answers_json: Whether it has the option ``--json``; not for what runs until it is stopped.
    """
    shown = "\n".join(f"  {example}" for example in examples)
    codes = textwrap.fill(f"exit codes: {exit_codes}", 100, subsequent_indent="  ")
    parser = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=f"examples:\n{shown}\n\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"madm_ros {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    if answers_json:
        parser.add_argument(
            "--json",
            action="store_true",
            help="print the outcome as one JSON object, and texts for people on stderr",
        )
    else:
        parser.set_defaults(json=False)
    return parser


def run_command(parser: argparse.ArgumentParser, work: Work, words: Sequence[str] | None = None) -> int:
    """Runs a command: parses its arguments, does its work, says what came of it, and turns errors into exit codes.

    Args:
        parser: Of :func:`command_parser`.
        work: Takes the parsed arguments.
        words: The command line; None: the process's.

    Returns:
        The exit code.
    """
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions, and nothing but them
        import argcomplete

        argcomplete.autocomplete(parser)
    arguments = parser.parse_intermixed_args(words)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if os.environ.get("NO_COLOR"):
        os.environ.setdefault("RCUTILS_COLORIZED_OUTPUT", "0")  # the log of a ROS node does not know NO_COLOR
    if not shows_progress():
        os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of libraries; tqdm reads it when it is imported
    code = SUCCESS
    try:
        with (
            raising_interrupted(signal.SIGINT),
            contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext(),
        ):
            outcome, problem = _attempt(parser.prog, work, arguments)
        code = outcome.code
        if arguments.json:
            _print_json(parser.prog, outcome, problem)
        else:
            _print_summary(outcome)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output (head, less) has left: nothing to say and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _attempt(name: str, work: Work, arguments: argparse.Namespace) -> tuple[Outcome, str | None]:
    """The work's outcome, and what went wrong, which has been said on stderr."""
    try:
        return work(arguments), None
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        _say("interrupted")
        return Outcome(INTERRUPTED), "interrupted"
    except Exception as error:
        if arguments.debug:
            _say("".join(traceback.format_exception(error)).rstrip("\n"))
        if isinstance(error, MadmError):
            code, problem = FAILED if isinstance(error, WorkError) else UNUSABLE, str(error)
        else:
            code, problem = FAILED, _unforeseen(name, error, kept=not arguments.debug)
    mark = coloured("error:", "red") if wants_colour(sys.stderr) else "error:"
    _say(f"{mark} {problem}")
    return Outcome(code), problem


def _say(text: str) -> None:
    """On stderr. It may be gone or its disk full, and the exit code has to tell what happened all the same."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)


def _unforeseen(name: str, error: Exception, *, kept: bool) -> str:
    """One line about an error that nobody thought of. What a report of it needs must not be lost with the terminal."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    what = said if isinstance(error, OSError) else f"this is a bug in {name}: {said}"
    where = f"{Path(place.filename).name}, line {place.lineno}"
    if not kept:
        return f"{what} ({where})"
    try:
        with tempfile.NamedTemporaryFile("w", prefix=f"{name}_", suffix="_traceback.txt", delete=False) as file:
            traceback.print_exception(error, file=file)
    except OSError:  # the full disk may be what went wrong
        return f"{what} ({where}). Run it again with --debug for the traceback"
    return f"{what} ({where}). The traceback is in {file.name}"


def _print_summary(outcome: Outcome) -> None:
    for result in outcome.results:
        print(f"written: {os.fspath(result)}")
    for step in outcome.next_steps:
        print(f"next: {step}")


def _print_json(name: str, outcome: Outcome, problem: str | None) -> None:
    answer = {
        "command": name,
        "version": __version__,
        "exit_code": outcome.code,
        "error": problem,
        "results": [os.fspath(result) for result in outcome.results],
        "next_steps": list(outcome.next_steps),
        "facts": _json_ready(outcome.facts),
    }
    print(json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False))


def _json_ready(value: Any) -> Any:
    """The value with null in place of what JSON has no number for, such as the IoU of a class that never occurs."""
    if isinstance(value, Mapping):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
