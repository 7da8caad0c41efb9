"""Measures the ranges of a graph's values on calibration images, before any layout or fusion.

The graph is written as it is, with the values to measure as outputs, and whoever exports runs it.
"""

from collections.abc import Callable, Mapping, Sequence

import onnx
from onnxscript import ir

from rbnn_deploy.exporters.onnx.calibration_ranges import choose_range
from rbnn_deploy.exporters.onnx.finalize import finalize
from rbnn_deploy.exporters.onnx.names import name_all
from rbnn_deploy.exporters.onnx.passes.tidy import tidy
from rbnn_deploy.exporters.onnx.plain import lower_in_place
from rbnn_deploy.exporters.onnx.quantisation import Range
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.value_histogram import ValueHistogram

# Runs a model on samples, and returns how the elements of named values are spread, inputs among them.
Measure = Callable[[onnx.ModelProto, Sequence[str]], Mapping[str, ValueHistogram]]


def measure_ranges(
    model: ir.Model, values: Sequence[ir.Value], measure: Measure, opset: int, rule: str = "minmax"
) -> dict[ir.Value, Range]:
    """Measures values of a channels-first graph.

    Args:
        model: Its binary layers are those of `plain`; it is not changed.
        values: Computed by nodes of the graph itself, or inputs of it.
        measure: Runs the model.
        opset: Version of ONNX's default domain that the graph uses.
        rule: How the range is chosen (`calibration_ranges`).

    Raises:
        UserError: See `measure`.
    """
    copy = model.clone()
    twins = dict(zip(model.graph.inputs, copy.graph.inputs, strict=True))
    for node, twin_node in zip(model.graph, copy.graph, strict=True):
        twins |= zip(node.outputs, twin_node.outputs, strict=True)
    given = [str(value.name) for value in copy.graph.outputs]
    names: dict[ir.Value, str] = {}
    for index, value in enumerate(dict.fromkeys(values)):
        twin = twins[value]
        if not (twin.is_graph_input() or twin.is_graph_output()):
            # As an output it keeps its name, whatever becomes of its node.
            twin.name = f"measured.{index}"
            while twin.name in given:
                twin.name += "_"
            twin.type = twin.type or ir.TensorType(ir.DataType.FLOAT)
            copy.graph.outputs.append(twin)
        names[value] = str(twin.name)
    lower_in_place(copy)
    name_all(copy, [])
    tidy(copy)
    proto = finalize(copy, ModelMetadata("calibration"), opset, "")
    found = measure(proto, list(names.values()))
    return {value: choose_range(found[name], rule) for value, name in names.items()}
