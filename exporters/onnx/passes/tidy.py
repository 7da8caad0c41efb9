"""What every graph goes through before it becomes a file: onnx-ir's own passes."""

from collections.abc import Sequence

from onnx_ir.passes import Sequential
from onnx_ir.passes import common as passes
from onnxscript import ir
from onnxscript.rewriter.pattern import RewriteRuleSet
from onnxscript.rewriter.rules.common import reshape_reshape_rule

from rbnn_deploy.exporters.onnx.graph import graphs
from rbnn_deploy.operators import OPPOSITE_CHANNELS

_VIEWS = RewriteRuleSet([reshape_reshape_rule])


def clean(model: ir.Model) -> None:
    """Makes equal nodes one, and a view of a view one view, and drops what nobody reads, in place."""
    _VIEWS.apply_to_model(model)
    if len(list(model.graphs())) == 1:
        # It would let a nested graph return a value from outside, which ONNX does not allow.
        passes.IdentityEliminationPass()(model)
    Sequential(
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
    )(model)


def separate_outputs(graph: ir.Graph, names: Sequence[str]) -> None:
    """Gives each output of a graph a value and a name of its own, in place.

    Removing nodes that do nothing can make one value of two outputs, or of an output and an input.

    Args:
        graph: The graph.
        names: Of its outputs.
    """
    seen: set[ir.Value] = set(graph.inputs)
    for index, (value, name) in enumerate(zip(list(graph.outputs), names, strict=True)):
        if value.name != name or value in seen:
            copy = ir.Value(name=name, shape=value.shape, type=value.type)
            graph.append(ir.Node("", "Identity", [value], outputs=[copy]))
            graph.outputs[index] = copy
        else:
            seen.add(value)


def tidy(model: ir.Model) -> None:
    """Moves constants to the initializers, once each, and drops what nobody uses, in place.

    Of the properties of nodes, the ones that are part of an operator's specification stay.
    """
    kept = {node: dict(node.metadata_props) for graph in graphs(model) for node in graph}
    Sequential(
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
        passes.TopologicalSortPass(),
    )(model)
    for node, properties in kept.items():
        if OPPOSITE_CHANNELS in properties:
            node.metadata_props[OPPOSITE_CHANNELS] = properties[OPPOSITE_CHANNELS]
