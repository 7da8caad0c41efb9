"""The one exception that means "the input is wrong, not the program"."""


class UserError(Exception):
    """Bad input or use: its message is one sentence that says what is wrong and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """
