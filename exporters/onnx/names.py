"""Names of nodes: the path of the module that each comes from, so that viewers and tables can be read.

1. A layer of torch.nn is named by its path: `stages.0.act`. Where it takes several nodes, the last one, whose
   value leaves the layer, has the path, and the others add their operator: `stages.0.act.Erf`.
2. What a forward method computes itself adds the function's name to the path of its module: `stages.0.add`.
3. What a pass adds is named after the node that it is written for: `stages.0.down.0.Slice` (`graph.Writer`).
4. Repetitions are numbered in the order of the graph: `act`, `act#2`. Layers with weights come first, so that
   they always have their module's own name.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import graphs, path_name
from rbnn_deploy.exporters.onnx.plain import is_plain_binary_conv
from rbnn_deploy.operators import BINARY_CONV2D, BINARY_CONVOLUTIONS

SCOPES = (
    "pkg.torch.onnx.name_scopes"  # torch's exporter: paths from the root, and the call's own name at last
)
CLASSES = "pkg.torch.onnx.class_hierarchy"  # the classes of these modules, and the function called
_TORCH_LAYERS = "torch.nn.modules."
_FLOAT_LAYERS = ("Conv", "Gemm")
_AUTOMATIC = r"(node_)?{}_\d+"  # what onnx-ir and onnxsim call a node that nobody named


def name_after_modules(model: ir.Model) -> None:
    """Names all nodes of torch's graph after their modules, in place (rules 1, 2 and 4)."""
    nodes = [node for graph in graphs(model) for node in graph]
    functions: dict[str, set[str]] = defaultdict(set)  # that a layer calls
    last: dict[tuple[str, str], ir.Node] = {}  # node of each call
    for node in nodes:
        path, call, function = _origin(node)
        functions[path].add(function)
        last[path, call] = node
    names, layers = {}, {}
    for node in nodes:
        path, call, function = _origin(node)
        if weighted := _weighted_layer(node, path):
            layers[node] = weighted
        elif _is_torch_layer(node) and len(functions[path]) == 1:
            names[node] = path if last[path, call] is node else path_name(path, node.op_type)
        elif call:
            names[node] = path_name(path, function)
    taken: set[str] = set()
    for group in (layers, names):
        for node, name in group.items():
            node.name = _unique(name, taken)
    _name_the_rest(model, taken, taken)


def name_all(model: ir.Model, given: Iterable[str]) -> None:
    """Names what passes added, makes all names unique, and calls values after the nodes that compute them.

    Args:
        model: Changed in place.
        given: Names that `name_after_modules` gave: nodes that have them keep them.
    """
    known, taken = set(given), set[str]()
    nodes = [node for graph in graphs(model) for node in graph]
    first: dict[str, ir.Node] = {}
    for node in sorted(nodes, key=lambda node: node.op_type not in BINARY_CONVOLUTIONS):  # stable
        if node.name in known:
            first.setdefault(str(node.name), node)
    taken.update(first)
    for node in nodes:
        if first.get(str(node.name)) is not node and not _is_automatic(node, known):
            node.name = _unique(str(node.name), taken)
    _name_the_rest(model, taken, taken)
    _name_values(model)


def _origin(node: ir.Node) -> tuple[str, str, str]:
    """Returns the path of a node's module, the call that it belongs to, and the function called."""
    scopes = _strings(node, SCOPES)
    if not scopes:
        return "", "", ""
    call = scopes[-1]
    return (scopes[-2] if len(scopes) > 1 else ""), call, re.sub(r"_\d+$", "", call).strip("_") or call


def _is_torch_layer(node: ir.Node) -> bool:
    classes = _strings(node, CLASSES)
    return len(classes) > 1 and classes[-2].startswith(_TORCH_LAYERS) and bool(_origin(node)[0])


def _weighted_layer(node: ir.Node, path: str) -> str:
    """Returns the path of a layer whose weights the node holds; "" for other nodes.

    The name of its weight tells it, even where a BatchNorm behind it has been folded in, or where the scopes
    do not reach: inside autocast and torch.cond.
    """
    binary = is_plain_binary_conv(node)
    if not binary and (node.op_type not in _FLOAT_LAYERS or node.domain != ""):
        return ""
    weight = node.inputs[1]
    name, _, parameter = ("" if weight is None else str(weight.name)).rpartition(".")
    if name and parameter == "weight":
        return name
    return (path or BINARY_CONV2D) if binary else ""


def _strings(node: ir.Node, key: str) -> list[str]:
    try:
        found = ast.literal_eval(node.metadata_props.get(key, "[]"))
    except (SyntaxError, ValueError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


def _is_automatic(node: ir.Node, known: Container[str]) -> bool:
    pattern = _AUTOMATIC.format(re.escape(node.op_type))
    return not node.name or (node.name not in known and re.fullmatch(pattern, node.name) is not None)


def _unique(name: str, taken: set[str]) -> str:
    result, number = name, 1
    while result in taken:
        number += 1
        result = f"{name}#{number}"
    taken.add(result)
    return result


def _name_the_rest(model: ir.Model, known: Container[str], taken: set[str]) -> None:
    """Names nodes without a name after the node in front of them, and constants after their reader."""
    nameless = [node for graph in graphs(model) for node in graph if _is_automatic(node, known)]
    for node in sorted(nameless, key=_is_constant):  # stable
        name = _name_of_reader(node) if _is_constant(node) else _name_in_front(node)
        node.name = _unique(path_name(name, node.op_type), taken)


def _is_constant(node: ir.Node) -> bool:
    return node.op_type == "Constant"


def _name_in_front(node: ir.Node) -> str:
    makers = [value.producer() for value in node.inputs if value is not None]
    return next((m.name for m in makers if m is not None and m.name and not _is_constant(m)), "")


def _name_of_reader(node: ir.Node) -> str:
    return next((use.node.name for use in node.outputs[0].uses() if use.node.name), "")


def _name_values(model: ir.Model) -> None:
    """Gives each computed value its node's name, from which quantisers and profilers make theirs."""
    kept = {value.name for value in _fixed_values(model)}
    computed = [
        (node, index, value)
        for graph in graphs(model)
        for node in graph
        for index, value in enumerate(node.outputs)
        if value.name not in kept
    ]
    taken = {str(name) for name in kept}
    for node, index, value in computed:
        name = str(node.name) if len(node.outputs) == 1 else f"{node.name}.{index}"
        value.name = _unique(name, taken)


def _fixed_values(model: ir.Model) -> Iterator[ir.Value]:
    """Yields the values whose names stay: a graph's inputs, outputs and weights."""
    for graph in graphs(model):
        yield from graph.inputs
        yield from graph.outputs
        yield from graph.initializers.values()
