"""The process: runs a command, and turns whatever ends it early into one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback

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
        _say(error.message, error.hint)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.errno == errno.EPIPE:
            sys.exit(0)
        _say(f"{error.filename or 'writing the output'}: {error.strerror or error}", "what was done is recorded")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the one place where everything is caught
        if os.environ.get("SAASBOT_TRACEBACK"):
            traceback.print_exc()  # here and not by the interpreter, so that it goes through the guarded stream
            sys.exit(1)
        _say(
            f"internal error: {type(error).__name__}: {error}",
            "this is a bug; SAASBOT_TRACEBACK=1 shows where, please report it",
        )
        sys.exit(1)


def _refuse_undecodable(arguments: list[str]) -> None:
    """Refuse bytes that are no text: they could be neither stored nor shown."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise WrongUsage(f"the argument {argument!r} is not valid text in this locale") from None


def _say(message: str, hint: str = "") -> None:
    click.echo(f"saasbot: {message}" + (f"\n  {hint}" if hint else ""), err=True)


if __name__ == "__main__":
    main()
