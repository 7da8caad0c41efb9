"""The one exception that means "the input is wrong, not the program"."""


class UserError(Exception):
    """Bad input or use: one sentence names the fault and the remedy.

    The command line prints the message without a traceback and exits with code 2.
    """
