"""Tries mutants of a model in a process of its own, so that a crash ends the process and not the tests.

usage: python -m support.try_models MODEL FIRST_SEED COUNT FOLDER

Prints one JSON line per mutant: its seed, when it begins and how it ended in each reader.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np
from support.mutants import mutant

from rbnn_deploy.errors import UserError
from rbnn_deploy.inspecting import inspect_onnx, render
from rbnn_deploy.runtimes import RUNTIMES, load_model
from rbnn_deploy.signature import TensorSpec

MEMORY = 6 << 30  # of address space; a mutant must not ask for more


def attempt(reader: str, path: Path) -> str:
    """Returns "ran", "refused", or an error that is none of ours."""
    try:
        if reader == "inspect":
            render(inspect_onnx(path))
        else:
            model = load_model(path, reader, None if reader == "numpy" else 1)
            model.run({spec.name: zeros(spec) for spec in model.signature.inputs})
    except UserError as error:
        return "refused" if "\n" not in str(error) else f"several lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ran"


def zeros(spec: TensorSpec) -> np.ndarray:
    """Returns one sample of an input; open sizes are 8."""
    sizes = [size if isinstance(size, int) else 8 for size in spec.shape[1:]]
    return np.zeros([1, *sizes], spec.dtype)


def main(arguments: list[str]) -> None:
    """Tries the mutants of COUNT seeds."""
    source, first, count, folder = arguments
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    model = Path(source).read_bytes()
    path = Path(folder) / f"mutant{first}.onnx"
    for seed in range(int(first), int(first) + int(count)):
        path.write_bytes(mutant(model, seed))
        for reader in ("inspect", *RUNTIMES):
            print(json.dumps({"seed": seed, "begins": reader}), flush=True)
            print(json.dumps({"seed": seed, "reader": reader, "end": attempt(reader, path)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
