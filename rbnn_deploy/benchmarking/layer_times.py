"""Time of each node, out of ONNX Runtime's profile of a session that runs among the timed ones.

The profiler's clock runs while it writes an event down, a few microseconds for each node. That cost is found
as the excess of the profiled nodes' sum over the time that the same model takes without a profile in the same
rounds, and taken off each node in equal parts. So the nodes add up to the model's time.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.benchmarking.timing import trimmed_mean

MOST_OVERHEAD = 15.0  # microseconds per node; more is not the profiler but another program


@dataclass(frozen=True)
class LayerTime:
    """A binary layer.

    Attributes:
        name: Of the node.
        binary_macs: Binary multiply-accumulates of the whole batch.
        median_us: Median time in microseconds; the profiler counts whole ones.
        mean_us: Trimmed mean, likewise.
        peak_fraction: Rate of the mean time as a share of the mean peak; None if unknown.
    """

    name: str
    binary_macs: int
    median_us: float
    peak_fraction: float | None
    mean_us: float


@dataclass(frozen=True)
class Int8LayerTime:
    """A layer of int8 weights, QuantConv2d.

    Attributes:
        name: Of the node.
        int8_macs: Multiply-accumulates of the whole batch.
        median_us: Median time in microseconds; the profiler counts whole ones.
        mean_us: Trimmed mean, likewise.
    """

    name: str
    int8_macs: int
    median_us: float
    mean_us: float


@dataclass(frozen=True)
class NodeTime:
    """Any other node, as ONNX Runtime runs it after its optimisations.

    Attributes:
        name: Of the node.
        operator: ONNX Runtime's, such as QLinearConv.
        median_us: Median time in microseconds; the profiler counts whole ones.
        mean_us: Trimmed mean, likewise.
    """

    name: str
    operator: str
    median_us: float
    mean_us: float


def read_profile(path: Path, keep: Sequence[int]) -> dict[tuple[str, str], npt.NDArray[np.float64]]:
    """Reads ONNX Runtime's profile.

    Args:
        path: The JSON file.
        keep: Indices of the runs that count.

    Returns:
        Microseconds [len(keep)] by operator and name of each node, in the order in which they ran.
    """
    events: list[dict[str, Any]] = json.loads(path.read_text())
    found: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = event["args"]["op_name"], event["name"].removesuffix("_kernel_time")
            found.setdefault(key, []).append(float(event["dur"]))
    runs = max(map(len, found.values()), default=0)
    # Nodes of a subgraph, which run more or less often than the graph, have no single time.
    return {key: np.array(values)[list(keep)] for key, values in found.items() if len(values) == runs}


def original_name(name: str, producers: Mapping[str, str]) -> str:
    """Returns the model's own name of a node that ONNX Runtime's optimisations have renamed.

    Args:
        name: In the profile: "OUTPUT_nchwc" for a node in blocked layout, "NAME_token_7" for a fused one.
        producers: Name of the node that computes each value of the model.
    """
    blocked = name.removesuffix("_nchwc")
    return producers.get(blocked, name) if blocked != name else re.sub(r"_token_\d+$", "", name)


def profiler_overhead(nodes: Mapping[tuple[str, str], npt.NDArray[np.float64]], total_us: float) -> float:
    """Returns the microseconds that profiling adds to each node, from the model's unprofiled time."""
    if not nodes:
        return 0.0
    excess = trimmed_mean(sum(nodes.values())) - total_us
    return min(max(excess / len(nodes), 0.0), MOST_OVERHEAD)


def split_times(
    nodes: Mapping[tuple[str, str], npt.NDArray[np.float64]],
    overhead: float,
    macs: Mapping[str, int],
    int8_macs: Mapping[str, int],
    peaks: npt.NDArray[np.float64],
    producers: Mapping[str, str],
) -> tuple[tuple[LayerTime, ...], tuple[Int8LayerTime, ...], tuple[NodeTime, ...]]:
    """Makes the tables of binary layers, of int8 layers and of the other nodes.

    Args:
        nodes: The result of `read_profile`.
        overhead: The result of `profiler_overhead`.
        macs: Binary multiply-accumulates of the batch by name of a binary layer.
        int8_macs: Likewise of int8 layers.
        peaks: The host's peak in each round, G multiply-accumulates per second on all threads together.
        producers: Name of the node that computes each value of the model.
    """
    layers, int8_layers, others = [], [], []
    for (operator, name), values in nodes.items():
        # Every node takes some time; an empty one is counted with a tenth of a microsecond.
        times = np.maximum(values - overhead, 0.1)
        median, mean = float(np.median(times)), trimmed_mean(times)
        if name in macs:
            share = macs[name] / (mean * 1e3) / trimmed_mean(peaks) if len(peaks) else None
            layers.append(LayerTime(name, macs[name], median, share, mean))
        elif name in int8_macs:
            int8_layers.append(Int8LayerTime(name, int8_macs[name], median, mean))
        else:
            others.append(NodeTime(original_name(name, producers), operator, median, mean))
    return tuple(layers), tuple(int8_layers), tuple(others)
