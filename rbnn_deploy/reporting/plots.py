"""The plots of a page, as SVG that stands in it."""

import io
from typing import Any

from rbnn_deploy.reporting.results import Bench
from rbnn_deploy.text import printable

BINARY, INT8, OTHER, ROOF = "#2a6f97", "#5b8e4d", "#c9a227", "#b23a48"
MOST_BARS = 40  # the longest; the rest is drawn as one
STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and no glyphs are drawn twice
    "text.parse_math": False,  # a name may hold a dollar
    "font.family": "sans-serif",
    "font.size": 9,
}


def layer_times(bench: Bench, number: int) -> str:
    """Draws the time of each layer and node, longest first.

    Args:
        bench: The benchmark.
        number: Of the plot in its page; names in the SVG depend on it.
    """
    bars = [(layer.name, layer.mean_us, BINARY) for layer in bench.layers]
    bars += [(layer.name, layer.mean_us, INT8) for layer in bench.int8_layers]
    bars += [(f"{node.name} ({node.operator})", node.mean_us, OTHER) for node in bench.float_nodes]
    bars.sort(key=lambda bar: -bar[1])
    rest = bars[MOST_BARS:]
    if rest:
        bars = [*bars[:MOST_BARS], (f"{len(rest)} more", sum(bar[1] for bar in rest), OTHER)]
    total = sum(bar[1] for bar in bars)

    def draw(axes: Any) -> None:
        axes.barh(range(len(bars)), [bar[1] for bar in bars], color=[bar[2] for bar in bars])
        axes.set_yticks(range(len(bars)), [printable(bar[0]) for bar in bars])
        for row, (_, time, _) in enumerate(bars):
            axes.text(time, row, f" {time:.1f} ({time / total:.0%})" if total else "", va="center")
        axes.set_xlabel("microseconds: binary layers blue, int8 layers green, other nodes yellow")
        axes.invert_yaxis()
        axes.margins(x=0.2)

    return _svg(draw, 0.23 * len(bars) + 1.0, number)


def roofline(bench: Bench, number: int) -> str:
    """Draws the rate of each binary layer over its work, below the host's peak.

    The operands of a binary layer are packed bits, so that its roof is the rate of xor, popcount and addition
    in registers; `bench` measures no bandwidth of memory.
    """
    layers = [layer for layer in bench.layers if layer.binary_macs > 0 and layer.mean_us > 0]
    peak = bench.peak_gmacs * bench.threads

    def draw(axes: Any) -> None:
        work = [layer.binary_macs / 1e6 for layer in layers]
        rate = [layer.binary_macs / layer.mean_us / 1e3 for layer in layers]
        axes.scatter(work, rate, color=BINARY, zorder=2)
        for layer, x, y in list(zip(layers, work, rate, strict=True))[:MOST_BARS]:
            axes.annotate(printable(layer.name), (x, y), (4, 4), textcoords="offset points", fontsize=7)
        if peak > 0:
            axes.axhline(peak, color=ROOF, linestyle="--")
            axes.text(
                0.01, peak, f"peak {peak:.0f} G MAC/s", transform=axes.get_yaxis_transform(), va="bottom"
            )
        _logarithmic(axes.xaxis, axes.set_xscale, axes.set_xlim, work)
        _logarithmic(axes.yaxis, axes.set_yscale, axes.set_ylim, [*rate, *([peak] if peak > 0 else [])])
        axes.set_xlabel("million binary multiply-accumulates of the layer")
        axes.set_ylabel("G MAC/s")
        axes.grid(alpha=0.3)

    return _svg(draw, 4.0, number)


def _logarithmic(axis: Any, set_scale: Any, set_limits: Any, values: list[float]) -> None:
    """Makes an axis logarithmic, with plain numbers: matplotlib's own labels are formulas, which are off."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: PLC0415 - an extra

    set_scale("log")
    if values:
        set_limits(min(values) / 2, max(values) * 2)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _svg(draw: Any, height: float, number: int) -> str:
    import matplotlib  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    # Names inside the SVG are digests with this salt: the same on every run, and no two in one page.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"plot {number}"}):
        figure = Figure(figsize=(9, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        stream = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=nothing)
    text = stream.getvalue()
    return text[text.index("<svg") :]  # without the XML declaration, which names a file elsewhere
