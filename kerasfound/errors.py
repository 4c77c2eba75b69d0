"""The errors that a person, rather than a programmer, is meant to read."""


class UserError(ValueError):
    """Something asked for cannot be had: the text names what came, what was expected and what to do.

    The command line prints it as one line and exits with status 2.
    """


class NotInstalledError(UserError, ImportError):
    """A library is missing that comes with one of the package's extras.

    Args:
        what: is missing.
        mend: the command that brings it.
    """

    def __init__(self, what: str, mend: str):
        super().__init__(f"{what} is not installed: {mend}")
        self.what = what
        self.mend = mend


def one_line(text: str | BaseException, max_characters: int | None = None) -> str:
    """Put a text or the message of an exception on one line; without a message, the name of the exception.

    Example:
        >>> one_line("many   spaces"), one_line(KeyError())
        ('many spaces', 'KeyError')
    """
    line = " ".join(str(text).split())
    if isinstance(text, BaseException) and not line:
        return type(text).__name__
    return line if max_characters is None or len(line) <= max_characters else f"{line[:max_characters]} ..."
