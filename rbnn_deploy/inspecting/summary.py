"""The summary of a network and its table."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.signature import Signature, TensorSpec
from rbnn_deploy.tables import Table, fragment
from rbnn_deploy.text_layout import paragraph

FLOAT_BYTES = 4


@dataclass(frozen=True)
class LayerSummary:
    """One layer with weights.

    Attributes:
        name: Name of the node or module.
        kind: Whether its weights and multiplications are binary, of int8, or float.
        operator: Kind of layer.
        output: Shape of the output of one sample, as the layer computes it; None where not known.
        weights: Number of weights, without per-channel parameters.
        size: Bytes that all parameters of the layer take when deployed.
        macs: Multiply-accumulate operations for one sample; None where the shape is not known.
        activations: Bytes of all values that are needed while the layer runs, for one sample; None where they
            are not known, as in a checkpoint.
    """

    name: str
    kind: Literal["binary", "int8", "float"]
    operator: str
    output: tuple[int, ...] | None
    weights: int
    size: int
    macs: int | None
    activations: int | None = None


@dataclass(frozen=True)
class NetworkSummary:
    """A network.

    Attributes:
        title: Name of the network or file.
        facts: Further lines: name and value.
        layers: Layers with weights, in the order of the graph.
        float_size: Bytes of all weights and parameters in float32.
        deployed_size: Bytes of the same when binary weights take one bit, and int8 ones a byte.
        file_size: Bytes of the inspected file.
        peak_activations: The most bytes of activations that are needed at once, for one sample; None where
            they are not known.
        peak_node: The name of the node that needs them.
    """

    title: str
    facts: dict[str, str]
    layers: tuple[LayerSummary, ...]
    float_size: int
    deployed_size: int
    file_size: int
    peak_activations: int | None = None
    peak_node: str | None = None

    def macs(self, kind: str) -> int:
        """Sums the MACs of a kind of layer."""
        return sum(layer.macs or 0 for layer in self.layers if layer.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """Returns the summary for json.dumps."""
        totals = {f"{kind}_macs": self.macs(kind) for kind in ("binary", "int8", "float")}
        return with_schema("inspect", {**asdict(self), **totals})

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per layer, for pandas.DataFrame and the like."""
        return [asdict(layer) for layer in self.layers]

    def to_text(self) -> str:
        """Returns the summary for people; see `render`."""
        return render(self)

    def _repr_html_(self) -> str:
        facts = [f"{name}: {value}" for name, value in self.facts.items()]
        return fragment(self.title, [_table(self)], [*_totals(self), *facts])


def describe_input(inputs: tuple[TensorSpec, ...]) -> dict[str, str]:
    """Returns the fact that tells a network's inputs: the sizes of its images, or names, types and sizes."""
    signature = Signature(inputs, ())
    shape = inputs[0].sample_shape if signature.takes_images and inputs[0].dtype == "float32" else None
    if shape is not None:
        return {"input": "N x " + " x ".join(map(str, shape))}
    return {"inputs": signature.describe_inputs(named=True)}


def format_bytes(count: int) -> str:
    """Writes a number of bytes for a person."""
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _table(summary: NetworkSummary) -> Table:
    # In a deployed model the operator says the kind, bytes stand for weights, and memory has its place: all
    # of them exceed 80 characters.
    deployed = summary.peak_activations is not None
    rows: list[tuple[str, ...]] = []
    for layer in summary.layers:
        output = "?" if layer.output is None else "x".join(map(str, layer.output))
        size, weights, macs = map(_count, (layer.size, layer.weights, layer.macs))
        if deployed:
            millions = "?" if layer.macs is None else f"{layer.macs / 1e6:,.2f}"
            rows.append((layer.name, layer.operator, output, size, millions, _kilobytes(layer.activations)))
        else:
            rows.append((layer.name, layer.kind, layer.operator, output, weights, size, macs))
    if deployed:
        return Table(("layer", "operator", "output", "bytes", "M MACs", "live kB"), rows, text_columns=3)
    return Table(("layer", "kind", "operator", "output", "weights", "bytes", "MACs"), rows, text_columns=4)


def _kilobytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1000:,.1f}"


def _totals(summary: NetworkSummary) -> list[str]:
    binary, int8, real = (summary.macs(kind) for kind in ("binary", "int8", "float"))
    share = f", {binary / (binary + int8 + real):.1%} of the MACs" if binary + int8 + real else ""
    bytewise = f" {int8:,} int8 MACs;" if any(layer.kind == "int8" for layer in summary.layers) else ""
    count = sum(layer.kind == "binary" for layer in summary.layers)
    return [
        f"{count} binary layers: {binary:,} binary MACs{share};{bytewise} {real:,} float MACs",
        f"parameters: {format_bytes(summary.float_size)} in float32, "
        f"{format_bytes(summary.deployed_size)} deployed, "
        f"{summary.float_size / max(summary.deployed_size, 1):.1f} x smaller",
        f"file: {format_bytes(summary.file_size)}",
        *_memory(summary),
    ]


def _memory(summary: NetworkSummary) -> list[str]:
    if summary.peak_activations is None:
        return []
    return [
        "live: the activations that a layer needs at once, for one sample; at most "
        f"{format_bytes(summary.peak_activations)}, at {summary.peak_node}"
    ]


def render(summary: NetworkSummary) -> str:
    """Renders the summary as an aligned table."""
    parts = [
        summary.title,
        *(paragraph(f"  {name}: {value}", indent="    ") for name, value in summary.facts.items()),
        "",
        _table(summary).to_text(),
        "",
        *map(paragraph, _totals(summary)),
    ]
    return "\n".join(parts)
