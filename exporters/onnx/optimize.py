"""Plain graph -> lean graph: the passes, in their order.

1. onnxsim, at the level of channels-first standard operators.
2. What is easier to see channels-first: BatchNorm into the head, activations in front of max pools and views,
   two slopes behind max pools. If asked for: float layers as QuantConv2d, with what surrounds them.
3. The layout, chosen once, and the Transposes of views that it leaves.
4. One node per layer of ours.
5. Float or ONNX Runtime's int8, decided once; then each float layer is written as that kind runs it fastest.
6. If asked for: bits between binary layers.

No pass undoes what another did. Each says what it changed and what it left, and why (`Note`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onnxscript import ir

from rbnn_deploy.exporters.onnx.layout import ChannelsLast
from rbnn_deploy.exporters.onnx.names import name_all
from rbnn_deploy.exporters.onnx.passes.batch_norm_steps import BatchNormAsSteps
from rbnn_deploy.exporters.onnx.passes.bits_between import BitsBetween
from rbnn_deploy.exporters.onnx.passes.exact_means import ExactMeans
from rbnn_deploy.exporters.onnx.passes.fold_batch_norm import FoldBatchNorm
from rbnn_deploy.exporters.onnx.passes.fuse_binary_conv import FuseBinaryConv
from rbnn_deploy.exporters.onnx.passes.fuse_general import FuseGeneralBinaryConv
from rbnn_deploy.exporters.onnx.passes.hoist import HoistAboveMaxPool
from rbnn_deploy.exporters.onnx.passes.hoist_above_view import HoistAboveView
from rbnn_deploy.exporters.onnx.passes.int8 import int8_layers
from rbnn_deploy.exporters.onnx.passes.mean_as_product import MeanAsProduct
from rbnn_deploy.exporters.onnx.passes.pair_pixels import PairPixels
from rbnn_deploy.exporters.onnx.passes.place_activation import PlaceActivation
from rbnn_deploy.exporters.onnx.passes.prelu import PreluAsMinMax
from rbnn_deploy.exporters.onnx.passes.quant_layers import QuantLayers
from rbnn_deploy.exporters.onnx.passes.quant_sites import find_quant_sites
from rbnn_deploy.exporters.onnx.passes.read_channels_first import ReadChannelsFirst
from rbnn_deploy.exporters.onnx.passes.relu_pair import ReluPairAsSlopes
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass, Note
from rbnn_deploy.exporters.onnx.passes.simplify import simplify
from rbnn_deploy.exporters.onnx.passes.tidy import clean, separate_outputs
from rbnn_deploy.exporters.onnx.passes.two_slopes import SlopesBehindMaxPool
from rbnn_deploy.exporters.onnx.passes.views import DropTransposesOfViews
from rbnn_deploy.operators import QUANT_CONV2D

# Measures the smallest and the largest element of values of a channels-first graph.
Ranges = Callable[[ir.Model, Sequence[ir.Value]], Mapping[ir.Value, tuple[float, float]]]


@dataclass(frozen=True)
class LeanGraph:
    """An optimised graph.

    Attributes:
        model: The graph.
        int8_layers: Names of the nodes to quantise, empty where none gains; or of the QuantConv2d nodes.
        notes: What the passes did and left, in their order.
    """

    model: ir.Model
    int8_layers: tuple[str, ...]
    notes: tuple[Note, ...]


def optimize_graph(
    plain: ir.Model,
    *,
    int8: bool = False,
    ranges: Ranges | None = None,
    bits_between_layers: bool = False,
) -> LeanGraph:
    """Runs all passes.

    Args:
        plain: As `export_graph` returns it; it is used up.
        int8: Whether float layers that gain by it are to become int8.
        ranges: In its place: how ranges are measured, for float layers that become QuantConv2d.
        bits_between_layers: Whether binary layers pass bits on where the next one reads nothing but signs.

    Raises:
        UserError: A float layer cannot become QuantConv2d, or see `ranges`.
    """
    notes: list[Note] = []

    def run(*passes: ExplainedPass) -> None:
        for one in passes:
            notes.extend(one(model).notes)
            clean(model)
            separate_outputs(model.graph, outputs)

    outputs = [str(value.name) for value in plain.graph.outputs]
    given = [str(node.name) for graph in plain.graphs() for node in graph]
    model = simplify(plain)
    run(
        FoldBatchNorm(),
        ReluPairAsSlopes(),
        HoistAboveMaxPool(),
        SlopesBehindMaxPool(),
        HoistAboveView(),
    )
    if ranges is not None:
        measured = [site.measured for site in find_quant_sites(model.graph)]
        run(QuantLayers(ranges(model, measured) if measured else {}), ExactMeans())
    run(
        ChannelsLast(),
        ReadChannelsFirst(),
        DropTransposesOfViews(),
        FuseBinaryConv(),
        FuseGeneralBinaryConv(),
        PreluAsMinMax(),
    )
    run(MeanAsProduct() if ranges is None else BatchNormAsSteps())
    quantized = int8_layers(model.graph) if int8 else set()
    run(PairPixels(quantized))
    run(PlaceActivation(quantized))
    if bits_between_layers:
        run(BitsBetween())
    name_all(model, given)
    names = tuple(str(node.name) for node in model.graph if node in quantized or node.op_type == QUANT_CONV2D)
    return LeanGraph(model, names, tuple(notes))
