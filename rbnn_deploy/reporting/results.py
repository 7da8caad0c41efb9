"""The results that a page shows: the part of each schema of docs/json.md that it needs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import read_regular_file
from rbnn_deploy.json_schema import VERSION, schema_name
from rbnn_deploy.reporting.from_json import MismatchError, from_json

LARGEST_FILE = 32_000_000  # bytes; a result of a thousand layers has less than one of these megabytes
ADVICE = "write it again with --json of bench, compare or inspect"


@dataclass(frozen=True)
class Host:
    """See `rbnn-deploy.bench` in docs/json.md; likewise the others."""

    processor: str
    architecture: str
    cores: int
    kernel: str
    versions: dict[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """The model or a baseline."""

    name: str
    median_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    runs: int
    file_bytes: int
    peak_rss_mb: float
    images_per_second: float


@dataclass(frozen=True)
class BinaryLayer:
    """The time of a binary layer."""

    name: str
    binary_macs: int
    mean_us: float
    peak_fraction: float | None


@dataclass(frozen=True)
class Int8Layer:
    """The time of a layer of int8 weights."""

    name: str
    int8_macs: int
    mean_us: float


@dataclass(frozen=True)
class OtherNode:
    """The time of another node."""

    name: str
    operator: str
    mean_us: float


@dataclass(frozen=True)
class Bench:
    """A benchmark."""

    model: str
    host: Host
    threads: int
    batch: int
    results: tuple[Candidate, ...]
    speedup: dict[str, float]
    layers: tuple[BinaryLayer, ...]
    float_nodes: tuple[OtherNode, ...]
    peak_gmacs: float
    int8_layers: tuple[Int8Layer, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """Several benchmarks of one model."""

    benchmarks: tuple[Bench, ...]


@dataclass(frozen=True)
class Output:
    """How one output of two runtimes compares."""

    name: str
    max_abs_diff: float | None
    mean_abs_diff: float | None
    top1_agreement: float
    bit_identical: bool


@dataclass(frozen=True)
class Pair:
    """How two runtimes compare."""

    left: str
    right: str
    max_abs_diff: float | None
    mean_abs_diff: float | None
    top1_agreement: float
    bit_identical: bool
    explained: int
    unexplained: int
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True)
class Flipped:
    """Bits of one layer that differ between two runtimes."""

    left: str
    right: str
    flipped: int | None


@dataclass(frozen=True)
class ComparedLayer:
    """The bits of one layer."""

    name: str
    bits: int
    flipped: tuple[Flipped, ...]
    identical: bool | None


@dataclass(frozen=True)
class Comparison:
    """A comparison."""

    samples: int
    pairs: tuple[Pair, ...]
    accuracy: dict[str, float]
    ok: bool
    failed_gates: tuple[str, ...]
    notes: tuple[str, ...]
    layers: tuple[ComparedLayer, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer of a network."""

    name: str
    kind: str
    operator: str
    output: tuple[int, ...] | None
    weights: int
    size: int
    macs: int | None


@dataclass(frozen=True)
class Network:
    """The summary of a network."""

    title: str
    facts: dict[str, str]
    layers: tuple[Layer, ...]
    float_size: int
    deployed_size: int
    file_size: int
    binary_macs: int
    float_macs: int
    int8_macs: int = 0


@dataclass(frozen=True)
class Results:
    """All results of a page; with each the name of its file.

    Attributes:
        benches: Benchmarks of one setting each.
        comparisons: Results of `compare`.
        networks: Results of `inspect`.
    """

    benches: list[tuple[str, Bench]] = field(default_factory=list)
    comparisons: list[tuple[str, Comparison]] = field(default_factory=list)
    networks: list[tuple[str, Network]] = field(default_factory=list)


KINDS: dict[str, type[Any]] = {
    schema_name("bench"): Bench,
    schema_name("sweep"): Sweep,
    schema_name("compare"): Comparison,
    schema_name("inspect"): Network,
}


def read_results(paths: Sequence[str | Path]) -> Results:
    """Reads JSON results of bench, compare and inspect.

    Raises:
        UserError: A file cannot be read, or is none of these results, or is damaged.
    """
    results = Results()
    for path in map(Path, paths):
        content = _load(path)
        kind = KINDS.get(str(content.get("schema")))
        if kind is None:
            raise UserError(
                f"{path} is no result that a page shows ({', '.join(KINDS)}), or of another version than "
                f"{VERSION}; {ADVICE}"
            )
        try:
            found = from_json(kind, content)
            benches = found.benchmarks if isinstance(found, Sweep) else [found] if kind is Bench else []
            if any(not bench.results for bench in benches):
                raise MismatchError("the result.results")
        except MismatchError as error:
            raise UserError(f"{path} is damaged: {error} is missing or of another type; {ADVICE}") from None
        results.benches.extend((path.name, bench) for bench in benches)
        if isinstance(found, Comparison):
            results.comparisons.append((path.name, found))
        elif isinstance(found, Network):
            results.networks.append((path.name, found))
    return results


def _load(path: Path) -> dict[str, Any]:
    content = read_regular_file(path, "the result")
    if len(content) > LARGEST_FILE:
        raise UserError(f"{path} is larger than any result ({LARGEST_FILE} bytes); {ADVICE}")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # also of bytes that are no text, and of brackets in thousands
        raise UserError(f"{path} is no JSON, or damaged; {ADVICE}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no result of a command; {ADVICE}")
    return value
