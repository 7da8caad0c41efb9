"""The exceptions that mean "the input is wrong, not the program"."""


class UserError(Exception):
    """Bad input or use: one sentence names the fault and the remedy.

    The command line prints the message without a traceback and exits with code 2.
    """


class UnsupportedModelError(UserError):
    """One runtime lacks an operator of a model, or a form of one; another runtime may run the model."""
