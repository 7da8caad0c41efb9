"""Speed and size of a deployed model on this machine, beside the strongest ordinary alternatives."""

from rbnn_deploy.benchmarking.bench import BASELINES, bench
from rbnn_deploy.benchmarking.report import BenchReport, Result, render, render_sweep

__all__ = ["BASELINES", "BenchReport", "Result", "bench", "render", "render_sweep"]
