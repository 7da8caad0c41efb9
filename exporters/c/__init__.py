"""A deployed .onnx file as standalone C99, for devices without Python and without ONNX Runtime.

A file goes through `read_graph` (ONNX nodes to C calls, one emitter per operator in `operators/`), `arena`
(where each map lies in memory) and `text` (the C files, with the functions of `kernels/`).
"""

from rbnn_deploy.exporters.c.export import (
    CExport,
    GeneratedNetwork,
    MemoryPlan,
    export_c,
    generate,
    plan_memory,
)
from rbnn_deploy.exporters.c.selftest import Judge

__all__ = ["CExport", "GeneratedNetwork", "Judge", "MemoryPlan", "export_c", "generate", "plan_memory"]
