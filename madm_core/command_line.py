"""What all commands share: options, exit codes and how an error is shown.

Exit codes: 0 success, 1 the work itself failed, 2 the user's input cannot be used, 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from madm_core import __version__
from madm_core.errors import MadmError


def command_parser(name: str, description: str, examples: Sequence[str] = ()) -> argparse.ArgumentParser:
    """A parser with ``--version`` and ``--debug``, and the examples at the end of ``--help``."""
    parser = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples) if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"madm_ros {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    return parser


def run_command(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Runs a command's work and turns what goes wrong into a message on stderr and an exit code.

    Args:
        run: Takes the parsed arguments, returns the exit code.
        arguments: Parsed by a parser of :func:`command_parser`.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return run(arguments)
    except MadmError as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output (head, less) has left: nothing to say and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
