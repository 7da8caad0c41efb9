"""Do the runtimes agree, with each other and with PyTorch? And where they do not, why.

A sign network is chaotic: a last-bit rounding difference in a float step can flip a bit whose activation lies
on its threshold, and one bit moves the logits. So a difference is neither an error by itself nor to be waved
through by a tolerance: it must be traced to such a bit (`explaining`).
"""

from rbnn_deploy.comparing.compare import LOGIT_TOLERANCE, compare
from rbnn_deploy.comparing.explaining import RELATIVE_MARGIN
from rbnn_deploy.comparing.gates import Gates
from rbnn_deploy.comparing.recorded import RecordedOutputs
from rbnn_deploy.comparing.report import ComparisonReport, LayerReport, PairReport

__all__ = [
    "LOGIT_TOLERANCE",
    "RELATIVE_MARGIN",
    "ComparisonReport",
    "Gates",
    "LayerReport",
    "PairReport",
    "RecordedOutputs",
    "compare",
]
