"""Peak memory of one model: a process of its own that loads it, runs it, and nothing else.

usage: python -m rbnn_deploy.benchmarking.memory MODEL LIBRARY(0|1) THREADS BATCH INPUTS

INPUTS is JSON: a list of name, element type and sizes of each input.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rbnn_deploy.errors import UserError
from rbnn_deploy.signature import Signature, TensorSpec


def peak_kilobytes() -> int:
    """Returns the largest resident size of this process so far.

    Linux's ru_maxrss also counts the parent that started the process (the maximum survives exec), so VmHWM,
    which starts anew, comes first.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except OSError:
        pass
    unit = 1024 if sys.platform == "darwin" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def measure_memory(
    path: Path, *, library: bool, threads: int, batch: int, inputs: Sequence[TensorSpec]
) -> dict[str, float]:
    """Runs a model in a process of its own.

    Returns:
        In MB (10^6 bytes): `imports_mb`, the process before it loads the model; `peak_rss_mb`, the most that
        loading and running it added.

    Raises:
        UserError: The process failed.
    """
    given = json.dumps([[spec.name, spec.dtype, spec.shape] for spec in inputs])
    arguments = [str(path), str(int(library)), str(threads), str(batch), given]
    command = [sys.executable, "-m", "rbnn_deploy.benchmarking.memory", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was killed, perhaps for lack of memory"])[-1]
        raise UserError(f"the model cannot be run in a process of its own: {reason}; try a smaller batch")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main(arguments: Sequence[str]) -> None:
    """Loads and runs the model, and prints the two figures as JSON."""
    import numpy as np  # noqa: PLC0415 - counted among the imports, like those below

    from rbnn_deploy.runtimes.onnx_runtime import OrtRuntime  # noqa: PLC0415

    path, library, threads, batch, inputs = arguments
    specs = tuple(TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in json.loads(inputs))
    x = Signature(specs, ()).draw(np.random.default_rng(0), int(batch))
    imports = peak_kilobytes()
    loaded = OrtRuntime(path, library=library == "1", threads=int(threads))
    for _ in range(3):
        loaded.run(x)
    peak = peak_kilobytes()
    print(json.dumps({"imports_mb": imports * 1.024e-3, "peak_rss_mb": (peak - imports) * 1.024e-3}))


if __name__ == "__main__":
    main(sys.argv[1:])
