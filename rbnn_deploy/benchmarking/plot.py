"""Draws a benchmark: the baselines above, the layers below."""

import importlib.util
import io
from pathlib import Path
from typing import Any

from rbnn_deploy.benchmarking.report import OURS, TITLES, BenchReport
from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes

BINARY, INT8, FLOAT, BASELINE = "#2a6f97", "#5b8e4d", "#c9a227", "#9aa5b1"
SMALL = 0.01  # nodes below this share of the time are drawn as one


def check_plot(path: Path) -> None:
    """Checks, before anything is measured, that a figure can be drawn.

    Raises:
        UserError: matplotlib is missing, or the file is no .png.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            "--plot needs matplotlib, which is not installed; run: pip install 'rbnn-deploy[report]'"
        )
    if path.suffix.lower() != ".png":
        raise UserError(f"--plot writes PNG images, not {path.name}; name a file that ends in .png")


def write_plot(report: BenchReport, path: Path) -> None:
    """Writes the figure as a PNG file, whole or not at all.

    Raises:
        UserError: See `check_plot` and `rbnn_deploy.files.atomic_write`.
    """
    check_plot(path)
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    bars = _layer_bars(report)
    heights = (0.45 * len(report.results) + 0.9, 0.27 * len(bars) + 0.9)
    figure = Figure(figsize=(9, sum(heights) + 0.9), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=heights)
    _draw_results(above, report)
    _draw_layers(below, report, bars)
    figure.suptitle(
        f"{report.model}, batch {report.batch}, {report.threads} "
        f"thread{'s' if report.threads > 1 else ''}\n{report.host.processor}, kernel {report.host.kernel}",
        fontsize=11,
    )
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    atomic_write_bytes(path, image.getvalue())


def _clean(axes: Any) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.margins(x=0.35)


def _draw_results(axes: Any, report: BenchReport) -> None:
    names = [TITLES.get(result.name, result.name) for result in report.results]
    times = [result.median_ms for result in report.results]
    spread = [
        [result.median_ms - result.p10_ms for result in report.results],
        [result.p90_ms - result.median_ms for result in report.results],
    ]
    colours = [BINARY if result.name == OURS else BASELINE for result in report.results]
    axes.barh(names, times, xerr=spread, color=colours, ecolor="#444444", capsize=3, height=0.7)
    for row, result in enumerate(report.results):
        speedup = report.speedup.get(result.name)
        text = f"{result.median_ms:.2f} ms" + ("" if speedup is None else f"   {speedup:.1f} x as long")
        axes.text(result.p90_ms, row, f"  {text}", va="center", fontsize=9)
    axes.set_xlabel("milliseconds: median, 10th to 90th percentile")
    _clean(axes)


def _layer_bars(report: BenchReport) -> list[tuple[str, float, str, str]]:
    """Returns label, microseconds, colour and remark of each bar."""
    total = 1e3 * report.results[0].mean_ms
    bars = []
    for layer in report.layers:
        share = "" if layer.peak_fraction is None else f"{layer.peak_fraction:.0%} of peak"
        bars.append((layer.name, layer.mean_us, BINARY, share))
    for int8 in report.int8_layers:
        bars.append((int8.name, int8.mean_us, INT8, f"{int8.int8_macs / int8.mean_us / 1e3:.0f} G MAC/s"))
    rest = 0.0
    for node in sorted(report.float_nodes, key=lambda node: -node.mean_us):
        if node.mean_us < SMALL * total:
            rest += node.mean_us
        else:
            bars.append(
                (f"{node.name} ({node.operator})", node.mean_us, FLOAT, f"{node.mean_us / total:.0%}")
            )
    if rest:
        bars.append((f"nodes below {SMALL:.0%} each", rest, FLOAT, f"{rest / total:.0%}"))
    return bars


def _draw_layers(axes: Any, report: BenchReport, bars: list[tuple[str, float, str, str]]) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415 - an extra

    axes.barh(range(len(bars)), [bar[1] for bar in bars], color=[bar[2] for bar in bars], height=0.75)
    axes.set_yticks(range(len(bars)), [bar[0] for bar in bars], fontsize=8)
    for row, (_, time, _, remark) in enumerate(bars):
        axes.text(time, row, f"  {time:.0f}   {remark}", va="center", fontsize=8)
    axes.set_xlabel("microseconds: mean without the ends")
    legend = [
        Patch(
            color=BINARY,
            label=f"binary layers: {report.peak_fraction:.0%} of {report.peak_gmacs:.0f} G MAC/s",
        ),
        *([Patch(color=INT8, label="int8 layers")] if report.int8_layers else []),
        Patch(color=FLOAT, label="other nodes: share of the time"),
    ]
    axes.legend(handles=legend, loc="lower right", frameon=False, fontsize=8)
    _clean(axes)
