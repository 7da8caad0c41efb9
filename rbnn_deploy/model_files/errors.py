"""Why a model is refused, before the message names the file."""

from rbnn_deploy.text import printable

LONGEST_NAME = 80


class InvalidModelError(Exception):
    """The model breaks a rule of ONNX or of our operators.

    Args:
        reason: Which, as a clause without the file's name.
        advice: What to do; None for what helps against damage.
    """

    def __init__(self, reason: str, advice: str | None = None) -> None:
        super().__init__(reason)
        self.advice = advice


def require_text(*names: object) -> None:
    """Checks names of a message: protobuf gives text that is not UTF-8 as bytes.

    Raises:
        InvalidModelError: One of them is not text.
    """
    if not all(isinstance(name, str) for name in names):
        raise InvalidModelError("it holds names that are no text")


def quoted(name: str) -> str:
    """Returns a name of the file for a message: printable, and of bounded length."""
    text = printable(name)
    return repr(text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}...")
