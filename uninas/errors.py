"""The one exception that means: the user can fix this."""


class InputError(ValueError):
    """What the user gave cannot be used.

    The message is one line that says what was expected, what was given and where; the command line prints it to stderr
    and exits with status 2.
    """
