"""Builds the API reference from the docstrings: HTML pages in build/api, without a network.

    python tools/api_reference.py [FOLDER]

A page that pdoc warns about, for a name that does not resolve or a module that does not import, is an error.
"""

import importlib
import re
import sys
import warnings
from pathlib import Path

import pdoc

# The public interface (docs/releasing.md): of each, the names in `__all__`, or all without an underscore.
PUBLIC = (
    "rbnn_deploy",
    "rbnn_deploy.benchmarking",
    "rbnn_deploy.bits",
    "rbnn_deploy.classifying",
    "rbnn_deploy.comparing",
    "rbnn_deploy.data",
    "rbnn_deploy.errors",
    "rbnn_deploy.exporters.onnx",
    "rbnn_deploy.inspecting",
    "rbnn_deploy.metadata",
    "rbnn_deploy.operators",
    "rbnn_deploy.pytorch.checkpoints.checkpoint",
    "rbnn_deploy.pytorch.folding",
    "rbnn_deploy.pytorch.layers",
    "rbnn_deploy.pytorch.networks",
    "rbnn_deploy.pytorch.training",
    "rbnn_deploy.runtimes",
)


def build(folder: Path) -> None:
    """Writes the pages.

    Args:
        folder: Where `index.html` is written; made if it is missing.

    Raises:
        UserWarning: pdoc could not document a name.
    """
    for module in map(importlib.import_module, PUBLIC):
        # pdoc reads a module's dictionary; names that are imported at their first use are not in it before.
        for name in getattr(module, "__all__", ()):
            setattr(module, name, getattr(module, name))
    pdoc.render.configure(docformat="google", show_source=False, search=True)
    # pdoc adds all modules below these, which are not the interface; take them out again.
    others = f"!(?!(?:{'|'.join(map(re.escape, PUBLIC))})$)"
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"pdoc\.")
        pdoc.pdoc(*PUBLIC, others, output_directory=folder)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/api")
    build(target)
    print(f"wrote {target / 'index.html'}")
