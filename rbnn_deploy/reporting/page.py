"""The page: one HTML file that needs nothing else."""

import itertools
from pathlib import Path

from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.inspecting import format_bytes
from rbnn_deploy.reporting.plots import layer_times, roofline
from rbnn_deploy.reporting.results import Bench, Comparison, Network, Results
from rbnn_deploy.tables import Table, escaped
from rbnn_deploy.version import __version__

STYLE = """
body { font-family: sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; font-size: 90%; }
th, td { padding: 0.2em 0.7em; border-bottom: 1px solid #ddd; }
tfoot td { font-weight: bold; }
caption { text-align: left; margin-bottom: 0.4em; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
.bad { color: #b23a48; font-weight: bold; }
"""
# The page loads nothing from anywhere, whatever a result's texts hold.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_page(results: Results, path: Path) -> None:
    """Writes the page, whole or not at all.

    Raises:
        UserError: See `rbnn_deploy.files.atomic_write`.
    """
    atomic_write_bytes(path, render(results).encode())


def render(results: Results) -> str:
    """Returns the page as HTML."""
    numbers = itertools.count()
    parts = []
    if results.benches:
        parts += ["<h2>Hosts and networks</h2>", _wide(_hosts(results.benches))]
        for name, bench in results.benches:
            parts += _bench_section(name, bench, numbers)
    if results.comparisons:
        parts += ["<h2>Agreement</h2>", *(_comparison(name, found) for name, found in results.comparisons)]
    if results.networks:
        parts += ["<h2>Networks</h2>", *(_network(name, found) for name, found in results.networks)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>rbnn-deploy report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<h1>rbnn-deploy report</h1>\n" + "\n".join(parts) + f"\n<p>rbnn-deploy {escaped(__version__)}</p>\n"
        "</body>\n</html>\n"
    )


def _wide(table: Table) -> str:
    return f'<div class="wide">{table.to_html()}</div>'


def _hosts(benches: list[tuple[str, Bench]]) -> Table:
    baselines = list(dict.fromkeys(name for _, bench in benches for name in bench.speedup))
    header = (
        *("file", "network", "processor", "kernel", "cores", "threads", "batch", "p50 ms", "p90", "p99"),
        *("images/s", "file size", "memory MB"),
        *(f"against {name}" for name in baselines),
    )
    rows = []
    for name, bench in benches:
        ours = bench.results[0]
        rows.append(
            (
                name,
                bench.model,
                f"{bench.host.processor}, {bench.host.architecture}",
                bench.host.kernel,
                *map(str, (bench.host.cores, bench.threads, bench.batch)),
                *(f"{time:.3f}" for time in (ours.median_ms, ours.p90_ms, ours.p99_ms)),
                f"{ours.images_per_second:,.0f}",
                format_bytes(ours.file_bytes),
                f"{ours.peak_rss_mb:.1f}",
                *(f"{bench.speedup[base]:.2f} x" if base in bench.speedup else "-" for base in baselines),
            )
        )
    return Table(header, rows, text_columns=4)


def _bench_section(name: str, bench: Bench, numbers: "itertools.count[int]") -> list[str]:
    threads = f"{bench.threads} thread{'' if bench.threads == 1 else 's'}"
    title = f"{bench.model} on {bench.host.processor}, {threads}, batch {bench.batch} ({name})"
    versions = ", ".join(f"{key} {value}" for key, value in bench.host.versions.items())
    parts = [f"<h3>{escaped(title)}</h3>", f"<p>{escaped(versions)}</p>"]
    parts += [f'<p class="bad">Doubt: {escaped(warning)}</p>' for warning in bench.host.warnings]
    parts.append(f"<h4>Time per layer</h4>{layer_times(bench, next(numbers))}")
    if bench.layers:
        parts.append(f"<h4>Rate of each binary layer below the peak</h4>{roofline(bench, next(numbers))}")
        rows = [
            (
                layer.name,
                f"{layer.binary_macs / 1e6:.2f}",
                f"{layer.mean_us:.1f}",
                "?" if layer.peak_fraction is None else f"{layer.peak_fraction:.0%}",
            )
            for layer in bench.layers
        ]
        parts.append(_wide(Table(("binary layer", "M MACs", "us", "of peak"), rows, text_columns=1)))
    return parts


def _comparison(name: str, found: Comparison) -> str:
    agree, differ = "<p>All runtimes agree.</p>", '<p class="bad">The runtimes do NOT agree.</p>'
    verdict = agree if found.ok else differ
    parts = [
        f"<h3>{escaped(name)}: {found.samples} samples</h3>",
        verdict,
        *(f'<p class="bad">{escaped(text)}</p>' for text in found.failed_gates),
        *(f"<p>Note: {escaped(text)}</p>" for text in found.notes),
    ]
    rows = [
        (
            f"{pair.left} / {pair.right}",
            *("not finite" if d is None else f"{d:.3g}" for d in (pair.max_abs_diff, pair.mean_abs_diff)),
            f"{pair.top1_agreement:.2%}",
            "yes" if pair.bit_identical else "no",
            str(pair.explained),
            str(pair.unexplained),
        )
        for pair in found.pairs
    ]
    header = ("pair", "max |diff|", "mean |diff|", "same top-1", "same bits", "explained", "unexplained")
    parts.append(_wide(Table(header, rows, text_columns=1)))
    outputs = [
        (
            f"{pair.left} / {pair.right}",
            output.name,
            *("not finite" if d is None else f"{d:.3g}" for d in (output.max_abs_diff, output.mean_abs_diff)),
            f"{output.top1_agreement:.2%}",
            "yes" if output.bit_identical else "no",
        )
        for pair in found.pairs
        for output in pair.outputs
        if len(pair.outputs) > 1
    ]
    if outputs:
        names = ("pair", "output", *header[1:5])
        parts.append(_wide(Table(names, outputs, text_columns=2, title="Each output by itself")))
    if found.accuracy:
        accuracy = [(runtime, f"{value:.2%}") for runtime, value in found.accuracy.items()]
        parts.append(_wide(Table(("runtime", "accuracy"), accuracy, text_columns=1)))
    if found.layers:
        parts.append(_wide(_flipped(found)))
    return "\n".join(parts)


def _flipped(found: Comparison) -> Table:
    pairs = list(dict.fromkeys((f.left, f.right) for layer in found.layers for f in layer.flipped))
    rows = []
    for layer in found.layers:
        counts = {(f.left, f.right): f.flipped for f in layer.flipped}
        cells = ["-" if (count := counts.get(pair)) is None else str(count) for pair in pairs]
        same = "-" if layer.identical is None else "yes" if layer.identical else "no"
        rows.append((layer.name, str(layer.bits), *cells, same))
    header = ("layer", "bits", *(f"{left} / {right}" for left, right in pairs), "same input and bits")
    return Table(header, rows, text_columns=1, title="Bits that differ at each binary layer's input")


def _network(name: str, network: Network) -> str:
    facts = [*network.facts.items(), ("file", format_bytes(network.file_size))]
    rows = [
        (
            layer.name,
            layer.kind,
            layer.operator,
            "?" if layer.output is None else "x".join(map(str, layer.output)),
            *("?" if count is None else f"{count:,}" for count in (layer.weights, layer.size, layer.macs)),
        )
        for layer in network.layers
    ]
    macs = network.binary_macs + network.int8_macs + network.float_macs
    total = ("all", "", "", "", "", f"{network.deployed_size:,}", f"{macs:,}")
    sentence = (
        f"{network.binary_macs:,} binary, {network.int8_macs:,} int8 and {network.float_macs:,} float MACs; "
        f"parameters {format_bytes(network.float_size)} in float32, "
        f"{format_bytes(network.deployed_size)} deployed"
    )
    header = ("layer", "kind", "operator", "output", "weights", "bytes", "MACs")
    return "\n".join(
        [
            f"<h3>{escaped(network.title)} ({escaped(name)})</h3>",
            _wide(Table(("fact", "value"), facts, text_columns=2)),
            _wide(Table(header, rows, text_columns=4, totals=[total])),
            f"<p>{sentence}</p>",
        ]
    )
