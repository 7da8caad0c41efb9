"""How this thread's floating-point unit treats subnormal numbers, which decides bits."""

import numpy as np

# The smallest float32, and an array, because NumPy may compute single numbers in its own way.
_SMALLEST = np.array([1e-45], np.float32)


def check_float_environment() -> None:
    """Checks that this thread keeps subnormal numbers, as the specification's bits need it.

    The operator library sets its threads right and back again; NumPy has no such call.

    Raises:
        ValueError: Something in this process has told the thread to take them for zeros.
    """
    if not (_SMALLEST * np.float32(1) > 0).all():
        raise ValueError(
            "this thread takes subnormal numbers for zeros, which changes bits; turn off "
            "torch.set_flush_denormal, ONNX Runtime's session.set_denormal_as_zero, or whatever did so"
        )
