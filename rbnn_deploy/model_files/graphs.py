"""Whether graphs and functions can be walked at all: names, order, scopes, calls that end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx
from onnx import AttributeProto

from rbnn_deploy.model_files.errors import InvalidModelError, quoted, require_text
from rbnn_deploy.model_files.operators import (
    check_against_schema,
    check_attribute,
    domain_of,
    schema_of,
    standard_domains,
)
from rbnn_deploy.model_files.tensors import ELEMENT_TYPES, check_tensor
from rbnn_deploy.operators import DOMAIN

# Of one model once all its functions are written out. The six networks have at most 2,000; functions that
# call each other twice reach 2^n with n lines.
MOST_NODES = 100_000
MOST_DEPTH = 16  # of functions and of graphs within graphs, each of which native code walks by recursion

FunctionKey = tuple[str, str, str]


@dataclass
class Function:
    """What a call of a model-local function must know.

    Attributes:
        proto: The function.
        references: Type of each of its attributes that its body uses.
        size: Nodes of its body, functions within written out.
        depth: Of the functions that it calls, itself included.
    """

    proto: onnx.FunctionProto
    references: dict[str, int] = field(default_factory=dict)
    size: int = 0
    depth: int = 1


class GraphChecker:
    """Checks one model's functions and graph.

    Args:
        model: The model, of whose messages all text is known to be text.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._protos: dict[FunctionKey, onnx.FunctionProto] = {}
        self._done: dict[FunctionKey, Function] = {}
        self._open: set[FunctionKey] = set()

    def check(self) -> None:
        """Checks everything.

        Raises:
            InvalidModelError: The first rule that the model breaks.
        """
        opsets = _opsets(self._model.opset_import)
        require_text(self._model.graph.name)
        for proto in self._model.functions:
            names = (*proto.input, *proto.output, *proto.attribute)
            require_text(proto.domain, proto.name, proto.overload, *names)
            key = (domain_of(proto.domain), proto.name, proto.overload)
            if key in self._protos:
                raise InvalidModelError(f"function {quoted(proto.name)} is defined twice")
            if not proto.name or key[0] in standard_domains():
                raise InvalidModelError(
                    f"function {quoted(proto.name)} replaces a standard operator or has no name"
                )
            self._protos[key] = proto
        for key in self._protos:
            self._function(key)
        scope = _Scope(opsets, None)
        size = self._graph(self._model.graph, set(), scope, depth=1)
        if size > MOST_NODES:
            raise InvalidModelError(f"its functions written out, it has more than {MOST_NODES} nodes")

    def _function(self, key: FunctionKey) -> Function:
        """Checks a function and those that it calls, once."""
        if key in self._done:
            return self._done[key]
        if key in self._open:
            raise InvalidModelError(f"function {quoted(key[1])} calls itself")
        if len(self._open) >= MOST_DEPTH:
            raise InvalidModelError(f"functions call each other more than {MOST_DEPTH} deep")
        self._open.add(key)
        proto = self._protos[key]
        function = Function(proto)
        declared = [*proto.attribute, *(attribute.name for attribute in proto.attribute_proto)]
        for what, names in (("input", proto.input), ("output", proto.output), ("attribute", declared)):
            if len(set(names)) != len(names) or not all(names):
                raise InvalidModelError(
                    f"function {quoted(proto.name)} has an {what} without a name, or one name twice"
                )
        if not proto.output:
            raise InvalidModelError(f"function {quoted(proto.name)} has no output")
        for attribute in proto.attribute_proto:
            self._attribute(attribute, set(), _Scope({}, None), depth=1)
        scope = _Scope(_opsets(proto.opset_import), function, declared)
        known = set(proto.input)
        function.size = self._nodes(proto.node, known, scope, depth=1)
        if function.depth > MOST_DEPTH:
            raise InvalidModelError(f"functions call each other more than {MOST_DEPTH} deep")
        for output in proto.output:
            if output not in known:
                raise InvalidModelError(
                    f"function {quoted(proto.name)} does not compute its output {quoted(output)}"
                )
        for attribute in proto.attribute_proto:
            if attribute.type != function.references.get(attribute.name, attribute.type):
                raise InvalidModelError(f"function {quoted(proto.name)} has a default of the wrong type")
        self._open.remove(key)
        self._done[key] = function
        return function

    def _graph(self, graph: onnx.GraphProto, outer: set[str], scope: _Scope, depth: int) -> int:
        if depth > MOST_DEPTH:
            raise InvalidModelError(f"graphs lie more than {MOST_DEPTH} deep within each other")
        if len(graph.sparse_initializer):
            raise InvalidModelError("it holds sparse tensors, which no runtime here takes")
        own: set[str] = set()
        for value in graph.input:
            _check_type(value)
            _add(own, value.name, "input")
        stored: set[str] = set()
        for tensor in graph.initializer:
            check_tensor(tensor)
            _add(stored, tensor.name, "stored tensor")
        known = outer | own | stored
        size = self._nodes(graph.node, known, scope, depth, written=own | stored)
        if not graph.output:
            raise InvalidModelError("a graph has no output")
        outputs: set[str] = set()
        for value in graph.output:
            _check_type(value)
            _add(outputs, value.name, "output")
            if value.name not in known:
                raise InvalidModelError(f"nothing computes the output {quoted(value.name)}")
        for value in graph.value_info:
            _check_type(value)
        return size

    def _nodes(
        self,
        nodes: Iterable[onnx.NodeProto],
        known: set[str],
        scope: _Scope,
        depth: int,
        written: set[str] | None = None,
    ) -> int:
        """Checks nodes in their order and adds what they compute to `known`.

        Returns:
            How many nodes they are, functions written out.
        """
        written = set(known) if written is None else set(written)
        size = 0
        for index, node in enumerate(nodes):
            require_text(node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)
            try:
                size += self._node(node, known, scope, depth)
                for name in node.output:
                    if name:
                        _add(written, name, "computed value")
                        known.add(name)
            except InvalidModelError as error:
                if str(error).startswith("node "):  # of a graph within
                    raise
                called = quoted(node.name) if node.name else f"number {index}"
                clause = f"node {called} ({quoted(node.op_type)}): {error}"
                raise InvalidModelError(clause, error.advice) from None
            if size > MOST_NODES:
                raise InvalidModelError(f"its functions written out, it has more than {MOST_NODES} nodes")
        return size

    def _node(self, node: onnx.NodeProto, known: set[str], scope: _Scope, depth: int) -> int:
        for name in node.input:
            if name and name not in known:
                raise InvalidModelError(f"its input {quoted(name)} is computed nowhere before it")
        if not any(node.output):
            raise InvalidModelError("it has no output")
        attributes: dict[str, onnx.AttributeProto] = {}
        size = 1
        for attribute in node.attribute:
            if attribute.name in attributes:
                raise InvalidModelError(f"attribute {quoted(attribute.name)} is there twice")
            attributes[attribute.name] = attribute
            size += self._attribute(attribute, known, scope, depth)
        domain = domain_of(node.domain)
        if domain not in scope.opsets:
            raise InvalidModelError(f"the model does not name a version of domain {quoted(domain)}")
        key = (domain, node.op_type, node.overload)
        called = self._function(key) if key in self._protos else None
        schema = None
        if called is None or domain == DOMAIN:
            schema = schema_of(domain, node.op_type, scope.opsets[domain])
        if schema is not None:
            check_against_schema(node, schema)
        if called is not None:
            _check_call(node, attributes, called)
            size += called.size
            if scope.function is not None:
                scope.function.depth = max(scope.function.depth, called.depth + 1)
        return size

    def _attribute(self, attribute: onnx.AttributeProto, known: set[str], scope: _Scope, depth: int) -> int:
        check_attribute(attribute)
        if attribute.ref_attr_name:
            scope.refer(attribute)
        elif attribute.type == AttributeProto.TENSOR:
            check_tensor(attribute.t)
        elif attribute.type == AttributeProto.GRAPH:
            return self._graph(attribute.g, known, scope, depth + 1)
        return 0


@dataclass
class _Scope:
    """Where a node stands: the domains' versions, and the function around it, if there is one."""

    opsets: Mapping[str, int]
    function: Function | None
    declared: Iterable[str] = ()

    def refer(self, attribute: onnx.AttributeProto) -> None:
        """Notes that a node takes an attribute of its function."""
        name = attribute.ref_attr_name
        if self.function is None or name not in self.declared:
            raise InvalidModelError(
                f"attribute {quoted(attribute.name)} refers to {quoted(name)}, which is none"
            )
        if self.function.references.setdefault(name, attribute.type) != attribute.type:
            raise InvalidModelError(f"attribute {quoted(name)} of the function is used as two types")


def _check_call(
    node: onnx.NodeProto, attributes: Mapping[str, onnx.AttributeProto], function: Function
) -> None:
    """Checks a call: an absent input or attribute makes runtimes refuse it, or read what is not there."""
    proto = function.proto
    if len(node.input) != len(proto.input) or not all(node.input):
        raise InvalidModelError(f"its function takes exactly {len(proto.input)} inputs")
    if len(node.output) > len(proto.output):
        raise InvalidModelError(f"its function has {len(proto.output)} outputs only")
    declared = {*proto.attribute, *(default.name for default in proto.attribute_proto)}
    for name, attribute in attributes.items():
        if name not in declared:
            raise InvalidModelError(f"its function has no attribute {quoted(name)}")
        if attribute.type != function.references.get(name, attribute.type):
            raise InvalidModelError(f"attribute {quoted(name)} is of another type than its function uses")
    for name in proto.attribute:
        if name not in attributes:
            raise InvalidModelError(f"attribute {quoted(name)} is missing")


def _add(names: set[str], name: str, what: str) -> None:
    if not name or name in names:
        raise InvalidModelError(f"the {what} {quoted(name)} has no name, or one that is taken")
    names.add(name)


def _check_type(value: onnx.ValueInfoProto) -> None:
    require_text(value.name)
    kind = value.type
    if not kind.HasField("tensor_type"):
        if kind.ListFields():
            raise InvalidModelError(f"{quoted(value.name)} is no tensor")
        return
    if kind.tensor_type.elem_type not in ELEMENT_TYPES and kind.tensor_type.elem_type:
        raise InvalidModelError(f"{quoted(value.name)} has an unknown element type")
    for d in kind.tensor_type.shape.dim:
        if d.dim_value < 0:
            raise InvalidModelError(f"{quoted(value.name)} has a negative size")
        require_text(d.dim_param)


def _opsets(entries: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Returns the version of each domain."""
    found: dict[str, int] = {}
    for entry in entries:
        require_text(entry.domain)
        domain = domain_of(entry.domain)
        if domain in found:
            raise InvalidModelError(f"it names two versions of domain {quoted(domain)}")
        newest = standard_domains().get(domain)
        if entry.version < 1:
            raise InvalidModelError(f"domain {quoted(domain)} has no version {entry.version}")
        if newest is not None and entry.version > newest:
            raise InvalidModelError(
                f"it uses version {entry.version} of domain {quoted(domain)}, newer than the installed "
                f"onnx {onnx.__version__} reads ({newest})",
                "update onnx and onnxruntime, or export it for an older version",
            )
        found[domain] = entry.version
    return found
