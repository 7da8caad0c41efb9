"""Deployed model -> outputs: one runtime per engine, and the C++ operator library that they need."""

from pathlib import Path

from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes.base import Runtime

MOST_THREADS = 1024  # more than any machine gains from; the limit only keeps nonsense from the system
RUNTIMES = ("ort", "ort-portable", "numpy")

__all__ = ["RUNTIMES", "Runtime", "load_model"]


def load_model(path: str | Path, runtime: str = "ort", threads: int | None = None) -> Runtime:
    """Loads a deployed model.

    Args:
        path: The .onnx file.
        runtime: "ort" (ONNX Runtime with the operator library), "ort-portable" (ONNX Runtime alone: binary
            layers run by the functions that the model carries) or "numpy" (the bitwise NumPy backend).
        threads: Threads that compute one operator; None leaves the choice to ONNX Runtime. NumPy has no such
            setting and takes none.

    Raises:
        UserError: The file is missing, damaged or takes inputs of other types, the runtime is unknown, or the
            number of threads is not from 1 to 1024.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"there is no runtime {runtime!r}; choose one of {', '.join(RUNTIMES)}")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UserError(f"a model runs on at least 1 thread and at most {MOST_THREADS}, not on {threads}")
    if runtime == "numpy":
        from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime  # noqa: PLC0415 - loads onnx

        return NumpyRuntime(path)
    from rbnn_deploy.runtimes.onnx_runtime import OrtRuntime  # noqa: PLC0415 - loads onnxruntime

    return OrtRuntime(path, library=runtime == "ort", threads=threads)
