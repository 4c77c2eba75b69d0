"""The command line: thin and lazy. Each verb is one function of `kerasfound.cli.commands`."""

import os
import sys

from kerasfound.errors import UserError


def main(arguments: list[str] | None = None) -> None:
    """Run `kerasfound` with `arguments`, by default the process's own; ends by raising SystemExit.

    The exit status is 0, 2 after an error that the user can fix (printed on one line), 130 after Ctrl-C.
    """
    from cyclopts import CycloptsError

    from .commands import app

    try:
        app(arguments, exit_on_error=False, print_error=False)
    except (CycloptsError, UserError) as error:
        message = error.with_flags() if isinstance(error, UserError) else str(error)
        print(f"kerasfound: {' '.join(message.split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("kerasfound: stopped.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output, such as `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    raise SystemExit(0)
