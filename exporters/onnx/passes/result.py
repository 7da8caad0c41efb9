"""What a pass says about its work."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from onnxscript import ir


@dataclass(frozen=True)
class Note:
    """One thing that a pass did, or left, and why.

    Attributes:
        layer: Name of the node that it is about.
        text: One sentence without its subject.
        done: Whether the pass changed something; False for a refusal, whose reason the text gives.
    """

    layer: str
    text: str
    done: bool = True


def render_notes(notes: Iterable[Note]) -> str:
    """Writes notes as text: one paragraph per layer, one line per note; a refusal begins with a minus."""
    layers: dict[str, list[str]] = {}
    for note in notes:
        layers.setdefault(note.layer, []).append(f"  {'+' if note.done else '-'} {note.text}")
    return "\n".join(line for layer, lines in layers.items() for line in (layer, *lines))


@dataclass
class ExplainedResult(ir.passes.PassResult):
    """A pass's result.

    Attributes:
        notes: What it did and what it left, in the order of the graph.
    """

    notes: list[Note] = field(default_factory=list)


class ExplainedPass(ir.passes.InPlacePass):
    """A pass that changes the model in place and keeps notes.

    Attributes:
        notes: Of the present run.
    """

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph; tells whether it did. Passes implement this."""
        raise NotImplementedError

    def note(self, node: ir.Node, text: str, *, done: bool = True) -> None:
        """Adds a note about a node."""
        self.notes.append(Note(node.name or node.op_type, text, done))

    def call(self, model: ir.Model) -> ExplainedResult:
        """Runs the pass on the model's graph and on the graphs inside its nodes."""
        self.notes = []
        modified = [self.run(graph) for graph in model.graphs()]
        return ExplainedResult(model, any(modified), self.notes)

    def __call__(self, model: ir.Model, /) -> ExplainedResult:  # type: ignore[override]
        """Runs the pass; onnx-ir checks its pre- and postconditions."""
        result = super().__call__(model)
        assert isinstance(result, ExplainedResult)
        return result
