"""The layout pass: one choice for the whole graph, then one walk that writes it.

ONNX Runtime's transpose optimiser and ExecuTorch's channels-last pass push single Transposes past one node
after the other. Here the choice comes first (`choose`), and the walk needs none: each node that runs
channels-last is written by its handler, and a Transpose stands where a value's producer and a reader differ.
"""

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    Writer,
    is_map,
    replace,
)
from rbnn_deploy.exporters.onnx.layout.channel_shuffle import (
    HANDLER as SHUFFLE_HANDLER,
)
from rbnn_deploy.exporters.onnx.layout.channel_shuffle import (
    is_channel_shuffle,
    lower_channel_shuffle,
    raise_channel_shuffles,
)
from rbnn_deploy.exporters.onnx.layout.choose import choose
from rbnn_deploy.exporters.onnx.layout.handler import Handler, Site
from rbnn_deploy.exporters.onnx.layout.handlers import HANDLERS
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.plain import is_plain_layer, write_layer

_LAYER = Handler(
    lambda site: [write_layer(site.writer, site.node, site.map())],
)


def _handler(node: ir.Node) -> Handler | None:
    if is_plain_layer(node):
        return _LAYER
    if is_channel_shuffle(node):
        return SHUFFLE_HANDLER
    return HANDLERS.get(node.op_type) if node.domain == "" else None


def _refusal(node: ir.Node) -> str:
    """Returns why a node cannot run channels-last; empty where it can."""
    handler = _handler(node)
    if handler is None:
        return f"{node.op_type} has no channels-last form"
    if not any(is_map(value) for value in node.inputs):
        return "it reads no map"
    return handler.refusal(node)


class ChannelsLast(ExplainedPass):
    """Runs our layers, and what lies between them, channels-last.

    Precondition: the graph is channels-first, its binary layers are those of `plain`, and shapes are known as
    far as torch.export knows them. Afterwards its binary layers are BinaryConv2d, and Transposes stand where
    the layout changes: never more bytes of them than around the binary layers of the plain graph. A layer of
    int8 weights reads both layouts; `ReadChannelsFirst` takes the Transpose in front of one away.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        if not any(map(is_plain_layer, graph)):
            return False
        graph.sort()
        raise_channel_shuffles(graph)
        refusals = {node: reason for node in graph if (reason := _refusal(node))}

        def has_layout(value: ir.Value) -> bool:
            node = value.producer()
            handler = None if node is None else _handler(node)
            return node is None or handler is None or handler.outputs_are_maps(node)

        last = choose(graph, is_plain_layer, refusals, has_layout)
        _Walk(graph, last).run()
        self._explain(graph, refusals)
        for node in [node for node in graph if is_channel_shuffle(node)]:
            lower_channel_shuffle(node)
        return True

    def _explain(self, graph: ir.Graph, refusals: dict[ir.Node, str]) -> None:
        """Notes every Transpose and the node that needs it."""
        for node in graph:
            perm = tuple(node.attributes["perm"].as_ints()) if node.op_type == "Transpose" else ()
            if perm == TO_CHANNELS_FIRST:
                for use in node.outputs[0].uses():
                    reason = refusals.get(use.node, "it costs less there")
                    self.note(use.node, f"stays channels-first behind a Transpose: {reason}", done=False)


class _Walk:
    """Writes the nodes that run channels-last, in topological order.

    Args:
        graph: Changed in place.
        last: The nodes.
    """

    def __init__(self, graph: ir.Graph, last: set[ir.Node]) -> None:
        self._graph, self._last = graph, last
        self._twins: dict[ir.Value, ir.Value] = {}  # channels-last form of each map that has one

    def run(self) -> None:
        nodes = [node for node in self._graph if node in self._last]
        for node in nodes:
            self._move(node)
        for node in reversed(nodes):
            self._graph.remove(node, safe=True)

    def _move(self, node: ir.Node) -> None:
        handler, writer = _handler(node), Writer(node)
        assert handler is not None
        for value in node.inputs:
            if value is not None and is_map(value) and value not in self._twins:
                self._twins[value] = writer.transpose(value, TO_CHANNELS_LAST)
        has_layout = handler.outputs_are_maps(node)
        results = handler.build(Site(node, writer, self._twins))
        for old, new in zip(node.outputs, results, strict=True):
            if has_layout:
                self._hand_on(old, new, writer)
            else:
                new.shape, new.type = old.shape, old.type
                replace(old, new)

    def _hand_on(self, old: ir.Value, new: ir.Value, writer: Writer) -> None:
        """Registers a channels-last result, and writes it channels-first if somebody reads it so."""
        if old.shape is not None:
            new.shape = ir.Shape([old.shape[axis] for axis in TO_CHANNELS_LAST])
        new.type = old.type
        self._twins[old] = new
        if old.is_graph_output() or any(use.node not in self._last for use in old.uses()):
            first = writer.transpose(new, TO_CHANNELS_FIRST)
            replace(old, first)
            self._twins[first] = new
