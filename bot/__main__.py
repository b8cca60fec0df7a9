"""The process: runs a command, and turns whatever ends it early into one line and an exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from itertools import pairwise
from typing import NoReturn

import click

from bot.errors import SaasbotError, WrongUsage


def main() -> None:
    """Run `saasbot`; errors are caught here once, and never end in a traceback. What is printed carries no secret."""
    from bot.providers.secrets import guarded_output  # noqa: PLC0415 - as below

    with guarded_output():
        _run()


def _run() -> None:
    from bot.cli import saasbot  # noqa: PLC0415 - errors of imports are errors of the program, told in one line too

    try:
        _refuse_undecodable(sys.argv[1:])
        sys.exit(saasbot.main(standalone_mode=False) or 0)
    except SaasbotError as error:
        _end(error.exit_code, error.message, error.hint)
    except click.ClickException as error:
        if not _as_json(sys.argv[1:]):
            error.show()
            sys.exit(error.exit_code)
        _end(error.exit_code, error.format_message())
    except (click.Abort, KeyboardInterrupt):
        _end(130, "interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.errno == errno.EPIPE:
            sys.exit(0)
        _end(1, f"{error.filename or 'writing the output'}: {error.strerror or error}", "what was done is recorded")
    except Exception as error:  # noqa: BLE001 - the one place where everything is caught
        _end_with_bug(error)


def _refuse_undecodable(arguments: list[str]) -> None:
    """Refuse bytes that are no text: they could be neither stored nor shown."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise WrongUsage(f"the argument {argument!r} is not valid text in this locale") from None


def _as_json(arguments: list[str]) -> bool:
    """Whether `--log-format json` was asked for, also where the command line cannot be read to its end.

    It is looked for here, as an error may come before there is anything that knows the options.
    """
    words = arguments[: arguments.index("--")] if "--" in arguments else arguments
    given = [word.partition("=")[2] for word in words if word.startswith("--log-format=")]
    given += [value for word, value in pairwise(words) if word == "--log-format"]
    return "json" in given


def _end_with_bug(error: Exception) -> NoReturn:
    """End with an internal error: one line, or all of its traceback where that is asked for."""
    message = f"internal error: {type(error).__name__}: {error}"
    if not os.environ.get("SAASBOT_TRACEBACK"):
        _end(1, message, "this is a bug; SAASBOT_TRACEBACK=1 shows where, please report it")
    told = "".join(traceback.format_exception(error))  # not by the interpreter: it goes through the guarded stream
    if _as_json(sys.argv[1:]):
        _end(1, message, traceback=told)
    click.echo(told, err=True, nl=False)
    sys.exit(1)


def _end(code: int, message: str, hint: str = "", **more: str) -> NoReturn:
    """Say what ended the process, in the form in which standard error is written, and end it."""
    if _as_json(sys.argv[1:]):
        told = {"level": "error", "message": message, **({"hint": hint} if hint else {}), "exit_code": code, **more}
        click.echo(json.dumps(told), err=True)
    else:
        click.echo(f"saasbot: {message}" + (f"\n  {hint}" if hint else ""), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
