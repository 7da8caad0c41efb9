"""The scripts of tools/arm64, which is no package, as modules."""

import importlib.util
from types import ModuleType

from support.paths import ROOT


def load_tool(name: str) -> ModuleType:
    """Imports a script of tools/arm64."""
    spec = importlib.util.spec_from_file_location(f"arm64_{name}", ROOT / f"tools/arm64/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CPUS = tuple(load_tool("setup").CPUS)


def kernels_of(cpu: str) -> tuple[str, ...]:
    """Returns the kernels that an emulated processor can execute, best first."""
    *_, features = load_tool("setup").CPUS[cpu]
    return (*(["neon_dotprod"] if "asimddp" in features.split() else []), "neon", "portable")
