"""The result of a comparison, as JSON and as text for people."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from rbnn_deploy.comparing.explaining import Explanation
from rbnn_deploy.comparing.gates import Gates
from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.signature import quoted
from rbnn_deploy.tables import Table, fragment
from rbnn_deploy.text_layout import paragraph

SHOWN_SAMPLES = 5
ROUNDING = 1e-9  # of a difference of two shares of samples in float64


@dataclass(frozen=True)
class OutputReport:
    """How one output of two subjects compares.

    Attributes:
        name: Of the output.
        max_abs_diff: Largest difference of a value; infinite where one alone is no number.
        mean_abs_diff: Mean over all values.
        top1_agreement: Fraction of samples whose largest value has the same place.
        bit_identical: Whether all values have the same bits.
    """

    name: str
    max_abs_diff: float
    mean_abs_diff: float
    top1_agreement: float
    bit_identical: bool


@dataclass(frozen=True)
class PairReport:
    """How two subjects compare.

    Attributes:
        left: Name of one.
        right: Name of the other.
        max_abs_diff: Largest difference of a value; infinite where one alone is no number.
        mean_abs_diff: Mean over all values of all outputs.
        top1_agreement: Fraction of samples for which both find the same class, in every output.
        bit_identical: Whether all outputs have the same bits.
        outputs: Each output by itself.
        explained: Samples whose logits differ by more than the tolerance because of bits on their threshold.
        unexplained: Samples whose logits differ by more than that for another reason.
        explanations: Sample number and explanation of both kinds.
        asked: Whether larger differences had to be explained; not with PyTorch if float layers are int8.
        equal_asked: Whether the outputs had to be equal: two runtimes, and a model whose every operator has
            one result (`rbnn_deploy.exactness`).
    """

    left: str
    right: str
    max_abs_diff: float
    mean_abs_diff: float
    top1_agreement: float
    bit_identical: bool
    outputs: tuple[OutputReport, ...]
    explanations: tuple[tuple[int, Explanation], ...]
    asked: bool = True
    equal_asked: bool = False

    @property
    def unequal(self) -> bool:
        """Whether outputs that had to be equal are not."""
        return self.equal_asked and self.max_abs_diff > 0

    @property
    def explained(self) -> int:
        """See the class."""
        return sum(explanation.explains for _, explanation in self.explanations)

    @property
    def unexplained(self) -> int:
        """See the class."""
        return len(self.explanations) - self.explained


@dataclass(frozen=True)
class LayerReport:
    """How one binary layer compares.

    Attributes:
        name: The layer's name.
        bits: Activation bits that it binarises for all samples.
        flipped: How many of them differ, for each pair in the order of the report's pairs; None for a pair
            with a subject that does not have the layer.
        identical: Whether the backends gave the same bits for the same input; None where that was not tried.
        on_threshold: How many of the inputs are exactly their threshold in the first subject that has the
            layer; their bits are +1.
    """

    name: str
    bits: int
    flipped: tuple[int | None, ...]
    identical: bool | None
    on_threshold: int = 0


@dataclass(frozen=True)
class ComparisonReport:
    """The result of a comparison.

    Attributes:
        samples: Number of samples.
        tolerance: Difference of a logit up to which no explanation is asked for.
        pairs: Every two subjects.
        accuracy: Fraction of samples whose class a subject finds; empty without labels.
        layers: Per binary layer, in graph order; None where that was not asked for.
        notes: Sentences about the parts that could not be compared.
        gates: Bounds on agreement and accuracy.
    """

    samples: int
    tolerance: float
    pairs: tuple[PairReport, ...]
    accuracy: dict[str, float]
    layers: tuple[LayerReport, ...] | None
    notes: tuple[str, ...]
    gates: Gates = field(default_factory=Gates)

    @property
    def ok(self) -> bool:
        """Whether differences are explained, layers give the same bits for the same input, and gates hold.

        Of a model whose every operator has one result, the outputs are equal besides.
        """
        wrong = any(pair.unexplained or pair.unequal for pair in self.pairs)
        return not wrong and not self.differing_layers and not self.failed_gates

    @property
    def failed_gates(self) -> list[str]:
        """A sentence for each bound that does not hold."""
        failed = []
        for pair in self.pairs:
            least = self.gates.least_agreement(asked=pair.asked)
            if least is not None and pair.top1_agreement < least:
                failed.append(
                    f"{pair.left} and {pair.right} find the same class for {pair.top1_agreement:.2%} of the "
                    f"samples, and at least {least:.2%} are asked for (--min-agreement)."
                )
        if not self.accuracy:
            return failed
        reference = "torch" if "torch" in self.accuracy else next(iter(self.accuracy))
        for name in [name for name in self.accuracy if name != reference]:
            asked = all(pair.asked for pair in self.pairs if {pair.left, pair.right} == {reference, name})
            most = self.gates.largest_drop(asked=asked)
            drop = self.accuracy[reference] - self.accuracy[name]
            if most is not None and drop > most + ROUNDING:
                failed.append(
                    f"the accuracy of {name} is {drop:.2%} below that of {reference}, and at most {most:.2%} "
                    "are allowed (--max-accuracy-drop)."
                )
        return failed

    @property
    def differing_layers(self) -> list[str]:
        """Names of layers whose backends give different bits for the same input."""
        return [layer.name for layer in self.layers or () if layer.identical is False]

    def to_json(self) -> dict[str, Any]:
        """Returns the report as values that JSON has; an infinite difference becomes null."""
        result: dict[str, Any] = {
            "samples": self.samples,
            "pairs": [
                {
                    "left": pair.left,
                    "right": pair.right,
                    "max_abs_diff": _finite(pair.max_abs_diff),
                    "mean_abs_diff": _finite(pair.mean_abs_diff),
                    "top1_agreement": pair.top1_agreement,
                    "bit_identical": pair.bit_identical,
                    "outputs": [
                        {
                            **asdict(output),
                            "max_abs_diff": _finite(output.max_abs_diff),
                            "mean_abs_diff": _finite(output.mean_abs_diff),
                        }
                        for output in pair.outputs
                    ],
                    "explained": pair.explained,
                    "unexplained": pair.unexplained,
                    "asked": pair.asked,
                    "equal_asked": pair.equal_asked,
                }
                for pair in self.pairs
            ],
            "accuracy": self.accuracy,
            "ok": self.ok,
            "failed_gates": self.failed_gates,
            "notes": list(self.notes),
        }
        if self.layers is not None:
            result["layers"] = [
                {
                    "name": layer.name,
                    "bits": layer.bits,
                    "flipped": [
                        {"left": pair.left, "right": pair.right, "flipped": count}
                        for pair, count in zip(self.pairs, layer.flipped, strict=True)
                    ],
                    "identical": layer.identical,
                    "on_threshold": layer.on_threshold,
                }
                for layer in self.layers
            ]
        return with_schema("compare", result)

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per pair of runtimes, for pandas.DataFrame and the like."""
        return [{k: v for k, v in pair.items() if k != "outputs"} for pair in self.to_json()["pairs"]]

    def output_rows(self) -> list[dict[str, Any]]:
        """Returns one row per pair of runtimes and output, likewise."""
        return [
            {"left": pair["left"], "right": pair["right"], **output}
            for pair in self.to_json()["pairs"]
            for output in pair["outputs"]
        ]

    def layer_rows(self) -> list[dict[str, Any]]:
        """Returns one row per binary layer and pair, likewise; none if layers were not compared."""
        return [
            {"layer": layer["name"], "bits": layer["bits"], "identical": layer["identical"], **pair}
            for layer in self.to_json().get("layers", ())
            for pair in layer["flipped"]
        ]

    def _repr_html_(self) -> str:
        tables = [self._pairs(), *self._outputs(), *([] if self.layers is None else [self._flipped_bits()])]
        accuracy = [f"accuracy of {name}: {value:.2%}" for name, value in self.accuracy.items()]
        notes = [f"Note: {note}" for note in self.notes]
        return fragment("Comparison", tables, [*accuracy, *notes, self._verdict()])

    def to_text(self) -> str:
        """Returns the report for people: tables, and the verdict as the last paragraph."""
        parts = [self._pair_table(), *(f"{table.title}\n{table.to_text()}" for table in self._outputs())]
        if self.accuracy:
            parts.append(
                "\n".join(f"accuracy of {name}: {value:.2%}" for name, value in self.accuracy.items())
            )
        if self.layers is not None:
            parts.append(self._layer_table())
        parts += [paragraph(f"Note: {note}") for note in self.notes]
        return "\n\n".join([*parts, self._verdict()])

    def _pair_table(self) -> str:
        pairs = self._pairs()
        explained = f"explained: of the samples whose {self._values} are more than {self.tolerance:g} apart"
        return f"{pairs.title}\n{pairs.to_text()}\n{paragraph(explained)}"

    def _pairs(self) -> Table:
        header = ("", "pair", "max |diff|", "mean |diff|", "same top-1", "same bits", "explained")
        rows = [
            (
                str(number),
                f"{pair.left} / {pair.right}",
                f"{pair.max_abs_diff:.3g}",
                f"{pair.mean_abs_diff:.3g}",
                f"{pair.top1_agreement:.2%}",
                _yes(pair.bit_identical),
                f"{pair.explained} of {len(pair.explanations)}" if pair.explanations else "-",
            )
            for number, pair in enumerate(self.pairs, 1)
        ]
        title = (
            f"{self._values.capitalize()} of {self.samples} {'sample' if self.samples == 1 else 'samples'}"
        )
        return Table(header, rows, text_columns=2, title=title)

    @property
    def _values(self) -> str:
        """What the subjects compute."""
        return "outputs" if any(len(pair.outputs) > 1 for pair in self.pairs) else "logits"

    def _outputs(self) -> list[Table]:
        """Makes the table of the outputs one by one; none where there is one."""
        header = ("pair", "output", "max |diff|", "mean |diff|", "same top-1", "same bits")
        rows = [
            (
                str(number),
                quoted(output.name),
                f"{output.max_abs_diff:.3g}",
                f"{output.mean_abs_diff:.3g}",
                f"{output.top1_agreement:.2%}",
                _yes(output.bit_identical),
            )
            for number, pair in enumerate(self.pairs, 1)
            for output in pair.outputs
            if len(pair.outputs) > 1
        ]
        return [Table(header, rows, text_columns=2, title="Each output by itself")] if rows else []

    def _layer_table(self) -> str:
        bits = self._flipped_bits()
        return f"{paragraph(bits.title)}\n{bits.to_text()}"

    def _flipped_bits(self) -> Table:
        assert self.layers is not None
        header = (
            "layer",
            "bits",
            *(str(number + 1) for number in range(len(self.pairs))),
            "same input and bits",
        )
        rows = [
            (
                layer.name,
                str(layer.bits),
                *("-" if count is None else str(count) for count in layer.flipped),
                _yes(layer.identical),
            )
            for layer in self.layers
        ]
        title = (
            "Bits that differ at each binary layer's input, per pair of the table above; and whether ort and "
            "numpy give the same bits for the same input"
        )
        return Table(header, rows, text_columns=1, title=title)

    def _verdict(self) -> str:
        problems = [
            paragraph(
                f"{pair.left} and {pair.right} do NOT agree: {_samples(pair.unexplained)} more than "
                f"{self.tolerance:g} apart, and not because of bits on their threshold."
            )
            + f"\n{_examples(pair)}"
            for pair in self.pairs
            if pair.unexplained
        ]
        problems += [
            paragraph(
                f"{pair.left} and {pair.right} do NOT give equal {self._values}: they are up to "
                f"{pair.max_abs_diff:.3g} apart, and every operator of the model has one result."
            )
            for pair in self.pairs
            if pair.unequal
        ]
        problems += [
            paragraph(f"Layer {name} does NOT compute the same bits in ort and numpy from the same input.")
            for name in self.differing_layers
        ]
        problems += [paragraph(f"NOT good enough: {sentence}") for sentence in self.failed_gates]
        if problems:
            return "\n".join(problems)
        if not all(pair.asked for pair in self.pairs):
            return self._verdict_of_int8()
        if all(pair.equal_asked for pair in self.pairs):
            return f"All runtimes give equal {self._values}, and so does every processor."
        if any(pair.explained for pair in self.pairs):
            return paragraph(
                f"All runtimes agree: where {self._values} are more than {self.tolerance:g} apart, "
                "activations so near their threshold that rounding decides fell to different sides of it."
            )
        if all(pair.max_abs_diff <= self.tolerance for pair in self.pairs):
            return f"All runtimes agree: no {self._values[:-1]} is more than {self.tolerance:g} apart."
        return "All runtimes agree, apart from the differences that the notes name."

    def _verdict_of_int8(self) -> str:
        unasked = [pair for pair in self.pairs if not pair.asked]
        worst = min(unasked, key=lambda pair: pair.top1_agreement)
        sentences = [
            "The differences from torch were not asked to be explained, because float layers are int8."
        ]
        least = self.gates.least_agreement(asked=False)
        sentences.append(
            f"The same class was asked for on at least {least:.2%} of the samples, and found on "
            f"{worst.top1_agreement:.2%} or more."
        )
        sentences.append(
            f"Accuracy was allowed to fall by at most {self.gates.largest_drop(asked=False):.2%}."
            if self.accuracy
            else "Accuracy was not compared, because the samples have no labels."
        )
        if any(pair.equal_asked for pair in self.pairs):
            which = (
                "" if all(pair.equal_asked for pair in self.pairs if pair.asked) else ", ort-portable aside,"
            )
            sentences.insert(0, f"The deployed runtimes{which} give equal {self._values}.")
        elif len(self.pairs) > len(unasked):
            sentences.insert(0, "The deployed runtimes agree with each other.")
        return paragraph(" ".join(sentences))


def _samples(count: int) -> str:
    return "1 sample is" if count == 1 else f"{count} samples are"


def _examples(pair: PairReport) -> str:
    wrong = [(n, explanation) for n, explanation in pair.explanations if not explanation.explains]
    lines = [
        paragraph(f"  sample {n}: {explanation}", indent="    ") for n, explanation in wrong[:SHOWN_SAMPLES]
    ]
    more = len(wrong) - SHOWN_SAMPLES
    return "\n".join([*lines, *([f"  and {more} more"] if more > 0 else [])])


def _yes(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
