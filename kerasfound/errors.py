"""The one error that a person, rather than a programmer, is meant to read."""


class UserError(ValueError):
    """Something asked for cannot be had: the text names what came, what was expected and what to do.

    The command line prints it as one line and exits with status 2.
    """
