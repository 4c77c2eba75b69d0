"""Errors whose message is written for the person who runs the program, not for its programmer."""

import re

ARGUMENT = re.compile("`([a-z][a-z0-9_]*)`")
TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Colors and other styles, which Keras puts into its errors."""


class UserError(ValueError):
    """Invalid input or a missing resource. The message says what came, what is expected and what to do.

    A message puts the names of arguments, and nothing else that is a single word, in backticks: `data_dir`.
    The command line prints the message on one line, with flags in place of arguments, and exits with status 2.
    """

    def with_flags(self) -> str:
        """The message with a flag for each argument.

        Example:
            >>> UserError("`data_dir` photos: no such folder.").with_flags()
            '--data-dir photos: no such folder.'
        """
        return ARGUMENT.sub(lambda argument: "--" + argument[1].replace("_", "-"), str(self))


class NotInstalledError(UserError, ImportError):
    """A missing library that one of the package's extras installs.

    Args:
        what: the missing library.
        fix: the command that installs it.
    """

    def __init__(self, what: str, fix: str):
        super().__init__(f"{what} is not installed: {fix}")
        self.what = what
        self.fix = fix


def one_line(text: str | BaseException, max_characters: int | None = None) -> str:
    """Put a text or the message of an exception on one line; without a message, the name of the exception.

    Terminal codes such as colors are left out. In the message of another library's exception, quotes replace backticks,
    which mark arguments in a `UserError`.

    Example:
        >>> one_line("many   spaces"), one_line(KeyError()), one_line(ValueError("Expected `int`"))
        ('many spaces', 'KeyError', "Expected 'int'")
    """
    line = " ".join(TERMINAL_CODE.sub("", str(text)).split())
    if isinstance(text, BaseException) and not isinstance(text, UserError):
        line = line.replace("`", "'")
    if isinstance(text, BaseException) and not line:
        return type(text).__name__
    return line if max_characters is None or len(line) <= max_characters else f"{line[:max_characters]} ..."
