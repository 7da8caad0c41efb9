"""The result of a benchmark: its numbers, its JSON, its text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rbnn_deploy.benchmarking.host import Host
from rbnn_deploy.benchmarking.layer_times import Int8LayerTime, LayerTime, NodeTime
from rbnn_deploy.inspecting import format_bytes
from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.tables import Table, fragment
from rbnn_deploy.text_layout import paragraph, table

OURS = "ort"
TITLES = {
    OURS: "ort (this model)",
    "fp32": "fp32 (same net)",
    "int8": "int8 (same net)",
    "portable": "portable",
}


@dataclass(frozen=True)
class Result:
    """One candidate.

    Attributes:
        name: "ort" for the deployed model, or the baseline's name.
        median_ms, mean_ms, p10_ms, p90_ms, p99_ms: Time of one run of the whole batch; the mean is trimmed.
        runs: How many runs were timed.
        file_bytes: Size of its file.
        peak_rss_mb: Memory that loading and running it adds to a process, at most.
        images_per_second: Images of the batch by the median time.
    """

    name: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int
    file_bytes: int
    peak_rss_mb: float
    mean_ms: float
    p99_ms: float
    images_per_second: float


@dataclass(frozen=True)
class BenchReport:
    """All numbers of a benchmark.

    Attributes:
        model: Name of the architecture, or of the graph.
        host: The machine.
        threads, batch: Settings.
        results: The deployed model first, then the baselines.
        layers: Binary layers in the order in which they run.
        int8_layers: Layers of int8 weights, likewise.
        float_nodes: All other nodes, likewise.
        peak_gmacs: Median of the peak of one thread, G binary multiply-accumulates per second.
        profiler_us: Time that was taken off each node's profiled time, in microseconds.
        imports_mb: Memory of a process that has loaded ONNX Runtime and NumPy but no model.
    """

    model: str
    host: Host
    threads: int
    batch: int
    results: tuple[Result, ...]
    layers: tuple[LayerTime, ...]
    int8_layers: tuple[Int8LayerTime, ...]
    float_nodes: tuple[NodeTime, ...]
    peak_gmacs: float
    profiler_us: float
    imports_mb: float

    @property
    def speedup(self) -> dict[str, float]:
        """How often the deployed model runs while a baseline runs once: the ratio of the medians."""
        ours, *others = self.results
        return {other.name: other.median_ms / ours.median_ms for other in others}

    @property
    def peak_fraction(self) -> float:
        """Share of the peak that all binary layers together reach."""
        seconds = sum(layer.mean_us for layer in self.layers) * 1e-6
        peak = self.peak_gmacs * self.threads * 1e9
        return sum(layer.binary_macs for layer in self.layers) / seconds / peak if seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns the report for json.dumps."""
        content = {
            "model": self.model,
            "host": self.host.to_json(),
            "threads": self.threads,
            "batch": self.batch,
            "results": [asdict(result) for result in self.results],
            "speedup": self.speedup,
            "layers": [asdict(layer) for layer in self.layers],
            "int8_layers": [asdict(layer) for layer in self.int8_layers],
            "float_nodes": [asdict(node) for node in self.float_nodes],
            "peak_gmacs": self.peak_gmacs,
            "peak_fraction": self.peak_fraction,
            "peak_rss_mb": self.results[0].peak_rss_mb,
            "imports_mb": self.imports_mb,
            "profiler_us": self.profiler_us,
        }
        return with_schema("bench", content)

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per candidate, for pandas.DataFrame and the like."""
        setting = {
            "model": self.model,
            "processor": self.host.processor,
            "kernel": self.host.kernel,
            "threads": self.threads,
            "batch": self.batch,
        }
        speedup = {result.name: self.speedup.get(result.name) for result in self.results}
        return [{**setting, **asdict(r), "speedup": speedup[r.name]} for r in self.results]

    def layer_rows(self) -> list[dict[str, Any]]:
        """Returns one row per node, binary layers first, then int8 layers, likewise."""
        rows = [
            *({"kind": "binary", **asdict(layer)} for layer in self.layers),
            *({"kind": "int8", **asdict(layer)} for layer in self.int8_layers),
            *({"kind": "other", **asdict(node)} for node in self.float_nodes),
        ]
        keys = dict.fromkeys(key for row in rows for key in row)
        return [{key: row.get(key) for key in keys} for row in rows]

    def to_text(self) -> str:
        """Returns the report for people; see `render`."""
        return render(self)

    def _repr_html_(self) -> str:
        sentences = [*_host_lines(self.host), *(f"warning: {warning}" for warning in self.host.warnings)]
        tables = [_candidates(self), _binary_layers(self), *_int8_layers(self), _other_nodes(self)]
        return fragment(_title(self), tables, [_peak(self), *sentences])


def _host_lines(host: Host) -> list[str]:
    states = []
    for label, value, unit in (
        ("load", (host.before.load, host.after.load), ""),
        ("clock", (host.before.megahertz, host.after.megahertz), " MHz"),
        ("temperature", (host.before.celsius, host.after.celsius), " C"),
    ):
        known = [f"{v:.1f}" if unit != " MHz" else f"{v:.0f}" for v in value if v is not None]
        if known:
            states.append(f"{label} {' -> '.join(known)}{unit}")
    if host.lowest_megahertz and host.full_megahertz:
        states.append(f"at least {host.lowest_megahertz:.0f} of {host.full_megahertz:.0f} MHz while timing")
    if host.governor:
        states.append(f"governor {host.governor}")
    versions = ", ".join(f"{name} {version}" for name, version in host.versions.items())
    emulated = " (emulated)" if host.emulated else ""
    return [
        f"host: {host.processor}, {host.cores} cores, {host.architecture}{emulated}; kernel {host.kernel}",
        f"      features {', '.join(host.cpu_features)}",
        f"      {versions}",
        *([f"      {', '.join(states)}"] if states else []),
    ]


def _wrapped_host_lines(host: Host) -> list[str]:
    return [paragraph(line, indent=" " * 6) for line in _host_lines(host)]


def _result_rows(report: BenchReport) -> list[list[str]]:
    rows = []
    for result in report.results:
        speedup = report.speedup.get(result.name)
        rows.append(
            [
                TITLES.get(result.name, result.name),
                f"{result.median_ms:.3f}",
                f"{result.p90_ms:.3f}",
                f"{result.p99_ms:.3f}",
                "" if speedup is None else f"{speedup:.2f} x",
                f"{result.images_per_second:,.0f}",
                format_bytes(result.file_bytes),
                f"{result.peak_rss_mb:.1f}",
            ]
        )
    return rows


def _share(value: float | None) -> str:
    return "?" if value is None else f"{value:.0%}"


def _title(report: BenchReport) -> str:
    threads = f"{report.threads} thread{'s' if report.threads > 1 else ''}"
    rounds = f"{report.results[0].runs} rounds"
    return f"{report.model}: batch {report.batch}, {threads}, {rounds}; layers are means"


def _peak(report: BenchReport) -> str:
    return (
        f"peak: {report.peak_gmacs:.0f} G MAC/s per thread, xor + popcount + add in registers, measured in "
        "every round"
    )


def _candidates(report: BenchReport) -> Table:
    header = ("", "p50 ms", "p90", "p99", "ours is", "images/s", "file", "memory MB")
    return Table(header, _result_rows(report), text_columns=1)


def _binary_layers(report: BenchReport) -> Table:
    ours = report.results[0]
    total = 1e3 * ours.mean_ms
    binary = sum(layer.mean_us for layer in report.layers)
    layers = [
        [
            layer.name,
            f"{layer.binary_macs / 1e6:.2f}",
            f"{layer.mean_us:.1f}",
            f"{layer.mean_us / total:.1%}",
            f"{layer.binary_macs / layer.mean_us / 1e3:.0f}",
            _share(layer.peak_fraction),
        ]
        for layer in report.layers
    ]
    macs = sum(layer.binary_macs for layer in report.layers)
    binary_total = [
        f"{len(layers)} binary layers",
        f"{macs / 1e6:.2f}",
        f"{binary:.1f}",
        f"{binary / total:.1%}",
        f"{macs / binary / 1e3:.0f}" if binary else "?",
        _share(report.peak_fraction),
    ]
    header = ("binary layer", "M MACs", "us", "share", "G MAC/s", "of peak")
    return Table(header, layers, text_columns=1, totals=[binary_total])


def _int8_layers(report: BenchReport) -> list[Table]:
    """Returns the table of int8 layers; none where there are none."""
    if not report.int8_layers:
        return []
    total = 1e3 * report.results[0].mean_ms

    def row(name: str, macs: int, time: float) -> list[str]:
        return [
            name,
            f"{macs / 1e6:.2f}",
            f"{time:.1f}",
            f"{time / total:.1%}",
            f"{macs / time / 1e3:.0f}" if time else "?",
        ]

    layers = report.int8_layers
    rows = [row(layer.name, layer.int8_macs, layer.mean_us) for layer in layers]
    macs, time = sum(layer.int8_macs for layer in layers), sum(layer.mean_us for layer in layers)
    totals = [row(f"{len(layers)} int8 layers", macs, time)]
    return [Table(("int8 layer", "M MACs", "us", "share", "G MAC/s"), rows, text_columns=1, totals=totals)]


def _other_nodes(report: BenchReport) -> Table:
    total = 1e3 * report.results[0].mean_ms
    layers = sum(layer.mean_us for layer in report.layers)
    layers += sum(layer.mean_us for layer in report.int8_layers)
    rest = sorted(report.float_nodes, key=lambda node: -node.mean_us)
    nodes = [[n.name, n.operator, f"{n.mean_us:.1f}", f"{n.mean_us / total:.1%}"] for n in rest]
    rest_time = sum(node.mean_us for node in rest)
    node_totals = [
        [f"{len(nodes)} other nodes", "", f"{rest_time:.1f}", f"{rest_time / total:.1%}"],
        ["all nodes", "", f"{layers + rest_time:.1f}", f"{(layers + rest_time) / total:.1%}"],
    ]
    return Table(("other node", "operator", "us", "share"), nodes, text_columns=2, totals=node_totals)


def render(report: BenchReport) -> str:
    """Renders the report for a person."""
    parts = [
        paragraph(_title(report)),
        *_wrapped_host_lines(report.host),
        "",
        _candidates(report).to_text(),
        paragraph(
            "memory: added to a process by loading and running, "
            f"on top of {report.imports_mb:.0f} MB before it"
        ),
        "",
        _binary_layers(report).to_text(),
        paragraph(_peak(report)),
        "",
        *(f"{table.to_text()}\n" for table in _int8_layers(report)),
        _other_nodes(report).to_text(),
        *(paragraph(f"warning: {warning}", indent="  ") for warning in report.host.warnings),
    ]
    return "\n".join(parts)


def render_sweep(reports: Sequence[BenchReport]) -> str:
    """Renders several benchmarks of one model, one row each."""
    first, last = reports[0], reports[-1]
    baselines = [result.name for result in first.results[1:]]
    header = (
        "threads",
        "batch",
        "p50 ms",
        "p90",
        "p99",
        "images/s",
        *(f"against {name}" for name in baselines),
    )
    rows = []
    for report in reports:
        ours = report.results[0]
        times = [f"{time:.3f}" for time in (ours.median_ms, ours.p90_ms, ours.p99_ms)]
        speed = [f"{report.speedup[name]:.2f} x" for name in baselines]
        rows.append(
            [str(report.threads), str(report.batch), *times, f"{ours.images_per_second:,.0f}", *speed]
        )
    warnings = dict.fromkeys(warning for report in reports for warning in report.host.warnings)
    return "\n".join(
        [
            f"{first.model}: {len(reports)} benchmarks",
            *_wrapped_host_lines(last.host),
            "",
            table(header, rows, text_columns=0),
            *(paragraph(f"warning: {warning}", indent="  ") for warning in warnings),
        ]
    )
