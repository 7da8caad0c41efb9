"""Runs the same images through several runtimes and explains where their logits differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rbnn_deploy.comparing.binary_layers import BinaryLayer, binary_layers
from rbnn_deploy.comparing.explaining import explain
from rbnn_deploy.comparing.gates import Gates
from rbnn_deploy.comparing.recorded import RecordedOutputs
from rbnn_deploy.comparing.replaying import NumpyJudge, problem
from rbnn_deploy.comparing.report import ComparisonReport, LayerReport, OutputReport, PairReport
from rbnn_deploy.comparing.same_input import gives_same_bits
from rbnn_deploy.comparing.statistics import PairStatistics, top1
from rbnn_deploy.comparing.subjects import RuntimeSubject, signs_of_zero, torch_subject
from rbnn_deploy.comparing.ties import describe_ties
from rbnn_deploy.comparing.traces import TORCH, Feeds, Judge, Replay, Subject, Trace
from rbnn_deploy.errors import UnsupportedModelError, UserError
from rbnn_deploy.exactness import is_exact
from rbnn_deploy.input_image import Float32
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import is_quant_conv, signature
from rbnn_deploy.runtimes import Runtime, load_model
from rbnn_deploy.signature import Array, Inputs, Signature, batches, count_samples, quoted

if TYPE_CHECKING:
    from torch import nn

Pair = tuple[str, str]

# Float steps after the last bit may differ by this much in sum: 1e-3, or 1e-5 of a sample's largest logit
# if that is more.
LOGIT_TOLERANCE, RELATIVE_LOGIT_TOLERANCE = 1e-3, 1e-5
NUMPY, PORTABLE = "numpy", "ort-portable"
DEFAULT_RUNTIMES = (TORCH, "ort", "ort-portable", "numpy")
# A batch: 32 images of CIFAR, 6 of ImageNet. Tracing keeps every binary layer's input of one batch.
BATCH_VALUES, BATCH_SAMPLES = 1 << 20, 32
SAME_INPUT_SAMPLES = 8


def compare(
    model_path: str | Path,
    module: nn.Module | None,
    samples: Inputs | Iterable[Inputs],
    labels: Sequence[int] | npt.NDArray[np.integer] | None = None,
    runtimes: Sequence[str] = DEFAULT_RUNTIMES,
    layers: bool = False,
    *,
    threads: int | None = None,
    gates: Gates | None = None,
    progress: Callable[[int], None] | None = None,
    others: Sequence[Runtime] = (),
    recorded: Sequence[RecordedOutputs] = (),
) -> ComparisonReport:
    """Compares a deployed model in several runtimes, and with the PyTorch module it was exported from.

    If an output of a sample differs by more than 1e-3 between two runtimes, the difference must be explained
    (see `explaining`). If the float layers are int8, this rule holds between runtimes only, because PyTorch
    computes these layers in float32. Of a model whose every operator has one result (`exactness`), runtimes
    must give equal outputs, apart from the functions in the file, whose float steps their runtime fuses.

    A runtime that lacks an operator of the model, as the NumPy backend may, is left out, and a note says so.

    Args:
        model_path: The .onnx file.
        module: The module; None leaves torch out.
        samples: An array, such as float32 [N, C, H, W] or, if the model takes pixels, uint8 [N, H, W, C],
            where the model has one input, or arrays by the names of its inputs; or an iterator of such
            batches.
        labels: The N classes, for accuracies of a model with one output.
        runtimes: The runtimes to compare: names for `load_model`, and "torch".
        layers: Also counts the bits that differ at every binary layer, and runs each layer in ONNX Runtime
            and in NumPy on the same input.
        threads: Of ONNX Runtime; None leaves the choice to it.
        gates: Bounds on agreement and accuracy; None for the defaults.
        progress: Called with the number of samples done after each batch.
        others: Further runtimes with the model loaded, such as one on another host (`elsewhere`).
        recorded: Outputs that a device computed for the same samples.

    Raises:
        UserError: A model or runtime cannot be loaded or run, fewer than two runtimes are left, there is no
            sample or one that the model does not take, there are not as many labels as samples, or there are
            labels for several outputs.
    """
    path = Path(model_path)
    names = [name for name in dict.fromkeys(runtimes) if name != TORCH or module is not None]
    if len(names) + len(others) + len(recorded) < 2:
        raise UserError(f"comparing takes at least two runtimes; choose among {', '.join(DEFAULT_RUNTIMES)}")
    loaded: dict[str, Runtime] = {}
    unsupported: dict[str, UnsupportedModelError] = {}
    for name in names:
        try:
            if name != TORCH:
                loaded[name] = load_model(path, name, threads)
        except UnsupportedModelError as error:
            unsupported[name] = error
    file = read_model(path)
    proto = file.model
    found = binary_layers(proto, path)
    quantised = any(is_quant_conv(node) or node.op_type == "QuantizeLinear" for node in proto.graph.node)
    subjects: list[Subject] = []
    for name in names:
        if name in loaded:
            subjects.append(RuntimeSubject(loaded[name], found))
        elif name == TORCH and module is not None:
            subjects.append(torch_subject(module, file))
    subjects += [RuntimeSubject(runtime, found) for runtime in others]
    comparison = _Comparison(
        subjects,
        found,
        trace_all=layers,
        threads=threads,
        quantised=quantised,
        exact=is_exact(proto),
        judge=NumpyJudge(proto, found),
        same_input={"ort", NUMPY} <= set(names),
        recorded=recorded,
        signs_of_zero={} if module is None else signs_of_zero(module),
    )
    for name, reason in unsupported.items():
        comparison.leave_out(name, reason)
    if labels is not None and len(proto.graph.output) > 1:
        raise UserError(f"{path} has several outputs, and labels are classes of the only one; leave them out")
    for x in _batches(samples, signature(proto.graph)):
        comparison.add(x)
        if progress is not None:
            progress(comparison.samples)
    for one in recorded:
        one.check_end()
    return replace(comparison.report(labels), gates=gates or Gates())


def _batches(samples: Inputs | Iterable[Inputs], takes: Signature) -> Iterator[dict[str, Array]]:
    """Splits samples into batches that bound the memory."""
    for block in [samples] if isinstance(samples, np.ndarray | Mapping) else samples:
        feeds = takes.feeds(block)
        elements = sum(math.prod(x.shape[1:]) for x in feeds.values())
        yield from batches(feeds, min(BATCH_SAMPLES, max(1, BATCH_VALUES // max(1, elements))))


def _check_comparable(pair: Pair, left: Mapping[str, Array], right: Mapping[str, Array]) -> None:
    """Refuses outputs of another type or of unlike shapes."""
    for name in left:
        a, b = left[name], right[name]
        if a.dtype != np.float32 or b.dtype != np.float32:
            raise UserError(
                f"{pair[0]} and {pair[1]} must give float32 {quoted(name)} to be compared; "
                "export without argmax"
            )
        if a.shape != b.shape:
            raise UserError(
                f"{pair[0]} gives {quoted(name)} of shape {list(a.shape)}, {pair[1]} of {list(b.shape)}; "
                "compare a model with the checkpoint that it was exported from"
            )


def _tolerances(
    left: Mapping[str, Float32], right: Mapping[str, Float32]
) -> dict[str, npt.NDArray[np.float64]]:
    """Returns the difference of values that each sample is allowed, float64 [N] by output."""
    return {name: _tolerance(left[name], right[name]) for name in left}


def _tolerance(left: Float32, right: Float32) -> npt.NDArray[np.float64]:
    both = np.abs(np.concatenate([a.reshape(len(a), -1) for a in (left, right)], axis=1).astype(np.float64))
    largest = np.max(both, axis=1, initial=0.0, where=np.isfinite(both))
    return np.asarray(np.maximum(LOGIT_TOLERANCE, RELATIVE_LOGIT_TOLERANCE * largest))


class _Comparison:
    """Adds up the results of batches."""

    def __init__(
        self,
        subjects: list[Subject],
        layers: list[BinaryLayer],
        *,
        trace_all: bool,
        threads: int | None,
        quantised: bool,
        exact: bool,
        judge: NumpyJudge,
        same_input: bool,
        recorded: Sequence[RecordedOutputs],
        signs_of_zero: Mapping[str, int],
    ) -> None:
        self.samples = 0
        self._subjects = subjects
        self._recorded = recorded
        self._layers = layers
        self._trace_all = trace_all
        self._threads = threads
        self._same_input = same_input  # NumPy runs a layer alone also where it cannot run the network
        names = [*(subject.name for subject in subjects), *(one.name for one in recorded)]
        self._pairs: dict[Pair, PairStatistics] = {
            pair: PairStatistics() for pair in itertools.combinations(names, 2)
        }
        self._classes: dict[str, list[npt.NDArray[np.intp]]] = {name: [] for name in names}
        self._not_asked = {one.name for one in recorded}
        self._flipped: dict[tuple[str, Pair], int] = {}
        self._signs_of_zero = signs_of_zero
        self._on_threshold = dict.fromkeys((layer.name for layer in layers), 0)
        self._bits = dict.fromkeys((layer.name for layer in layers), 0)
        self._identical: dict[str, bool] = {}
        self._notes: dict[str, None] = {}  # in order, each once
        self._quantised, self._exact = quantised, exact
        self._judges: dict[str, Judge] = {NUMPY: judge}
        self._judges |= {s.name: s for s in subjects if isinstance(s, Judge)}
        if quantised and TORCH in self._classes:
            note = f"the model's float layers are int8, so {TORCH} differs by design; compare the accuracies"
            self._notes[note] = None
        for one in recorded:
            note = f"of {one.name} only the outputs are known, so bounds judge its differences"
            self._notes[note] = None

    def _asked(self, pair: Pair) -> bool:
        """Whether larger differences of a pair have to be explained."""
        return not (self._quantised and TORCH in pair) and not self._not_asked & set(pair)

    def _equal_asked(self, pair: Pair) -> bool:
        """Whether the outputs of a pair have to be equal."""
        others = {TORCH, *self._not_asked}
        return self._exact and not others & set(pair) and not any(name.startswith(PORTABLE) for name in pair)

    def leave_out(self, name: str, reason: UnsupportedModelError) -> None:
        """Goes on without a runtime that lacks an operator of the model.

        Raises:
            UserError: Fewer than two subjects are left.
        """
        self._subjects = [subject for subject in self._subjects if subject.name != name]
        if len(self._subjects) + len(self._recorded) < 2:
            raise UserError(f"comparing takes two runtimes, and only one runs the model: {reason}")
        self._pairs = {pair: statistics for pair, statistics in self._pairs.items() if name not in pair}
        self._classes.pop(name, None)
        self._judges.pop(name, None)
        self._notes[f"{name} is left out: {reason}"] = None

    def _run(self, x: Feeds) -> tuple[dict[str, dict[str, Float32]], dict[str, Trace]]:
        """Returns each subject's outputs, and its trace if all layers are compared."""
        outputs: dict[str, dict[str, Float32]] = {}
        traces: dict[str, Trace] = {}
        for subject in self._subjects:
            try:
                if self._trace_all:
                    traces[subject.name] = subject.trace(x)
                    outputs[subject.name] = traces[subject.name].outputs
                else:
                    outputs[subject.name] = subject.run(x)
            except UnsupportedModelError as error:
                if self.samples:  # it could run the batches before this one
                    raise
                self.leave_out(subject.name, error)
        outputs |= {one.name: one.run(x) for one in self._recorded}
        return outputs, traces

    def add(self, x: Feeds) -> None:
        """Compares one batch."""
        outputs, traces = self._run(x)
        differing: dict[Pair, npt.NDArray[np.intp]] = {}
        for pair, statistics in self._pairs.items():
            left, right = (outputs[name] for name in pair)
            _check_comparable(pair, left, right)
            gaps = statistics.add(left, right)
            allowed = _tolerances(left, right)
            wanting = np.flatnonzero(np.any([gaps[name] > allowed[name] for name in gaps], axis=0))
            if wanting.size and self._asked(pair):
                differing[pair] = wanting
        for subject, values in outputs.items():
            self._classes[subject].append(top1(next(iter(values.values()))))

        if differing and not traces:
            # The whole batch again, not the differing samples alone: float steps depend on the batch's size.
            involved = {name for pair in differing for name in pair}
            traces = {s.name: s.trace(x) for s in self._subjects if s.name in involved}
        for name, trace in traces.items():
            self._check_names(name, trace)
        self._explain(x, traces, differing)
        if self._trace_all:
            self._compare_layers(traces)
        self.samples += count_samples(x)

    def _explain(
        self, x: Feeds, traces: dict[str, Trace], differing: dict[Pair, npt.NDArray[np.intp]]
    ) -> None:
        """Looks for the cause of each difference in a batch."""
        cache: dict[tuple[str, str], Replay] = {}
        for pair, chosen in differing.items():
            left_trace, right_trace = (traces[name] for name in pair)
            common = self._common(left_trace, right_trace)
            allowed = _tolerances(left_trace.outputs, right_trace.outputs)
            replays: list[tuple[str, str, Replay]] | None = None
            for sample in map(int, chosen):
                found = explain(left_trace, right_trace, common, sample)
                if found.explains and replays is None:
                    replays = self._replays(pair, x, traces, cache)
                for judge, recorded, repeated in replays or ():
                    if found.explains:
                        bounds = {name: float(values[sample]) for name, values in allowed.items()}
                        what = problem(repeated, traces[recorded], common, sample, bounds)
                        found = replace(found, problem=what and f"{judge} repeating {recorded}: {what}")
                self._pairs[pair].explanations.append((self.samples + sample, found))

    def _replays(
        self, pair: Pair, x: Feeds, traces: dict[str, Trace], cache: dict[tuple[str, str], Replay]
    ) -> list[tuple[str, str, Replay]]:
        """Returns who repeated whose run, and the repetition: see `replaying`, rule 1."""
        by_torch = [] if self._quantised else [TORCH]
        for judge in by_torch if TORCH in pair else [NUMPY, *by_torch]:
            if judge not in self._judges:
                continue
            try:
                for name in pair:
                    if name != judge and (judge, name) not in cache:
                        cache[judge, name] = self._judges[judge].replay(x, traces[name])
            except UnsupportedModelError:
                self._judges.pop(judge)
            else:
                return [(judge, name, cache[judge, name]) for name in pair if name != judge]
        note = f"no judge repeated the runs of {pair[0]} and {pair[1]}, whose bits alone were compared"
        self._notes[note] = None
        return []

    def _common(self, left: Trace, right: Trace) -> list[str]:
        """Names the layers that both have, in graph order."""
        return [
            layer.name for layer in self._layers if layer.name in left.inputs and layer.name in right.inputs
        ]

    def _check_names(self, name: str, trace: Trace) -> None:
        missing = [layer.name for layer in self._layers if layer.name not in trace.inputs]
        if missing:
            note = f"{name} has no binary layer called {', '.join(missing)}, so no bits are compared there"
            self._notes[note] = None

    def _compare_layers(self, traces: dict[str, Trace]) -> None:
        """Counts flipped bits, and at the first batch runs each layer by itself."""
        for layer in self._layers:
            recorded_inputs = [t.inputs[layer.name] for t in traces.values() if layer.name in t.inputs]
            floats = [values for values in recorded_inputs if not values.signs_only]
            self._on_threshold[layer.name] += sum(values.on_threshold for values in floats[:1])
            bits = {name: t.inputs[layer.name].bits for name, t in traces.items() if layer.name in t.inputs}
            self._bits[layer.name] += next((value.size for value in bits.values()), 0)
            for pair in self._pairs:
                if pair[0] in bits and pair[1] in bits:
                    count = int(np.count_nonzero(bits[pair[0]] != bits[pair[1]]))
                    self._flipped[layer.name, pair] = self._flipped.get((layer.name, pair), 0) + count
            if layer.name not in self._identical and self._same_input:
                recorded = traces["ort"]
                part = slice(0, SAME_INPUT_SAMPLES)
                residual = recorded.residuals.get(layer.name)
                self._identical[layer.name] = gives_same_bits(
                    layer,
                    recorded.inputs[layer.name].x[part],
                    None if residual is None else residual[part],
                    self._threads,
                )

    def report(self, labels: Sequence[int] | npt.NDArray[np.integer] | None) -> ComparisonReport:
        """Sums up."""
        if not self.samples:
            raise UserError("there is no sample to compare; give at least one image")
        accuracy: dict[str, float] = {}
        if labels is not None:
            if len(labels) != self.samples:
                raise UserError(
                    f"there are {len(labels)} labels for {self.samples} samples; give one for each"
                )
            accuracy = {
                name: float(np.mean(np.concatenate(classes) == np.asarray(labels)))
                for name, classes in self._classes.items()
            }
        pairs = tuple(
            PairReport(
                left=pair[0],
                right=pair[1],
                max_abs_diff=max(o.largest for o in s.outputs.values()),
                mean_abs_diff=sum(o.total for o in s.outputs.values())
                / max(1, sum(o.values for o in s.outputs.values())),
                top1_agreement=s.same_class / self.samples,
                bit_identical=all(o.bit_identical for o in s.outputs.values()),
                outputs=tuple(
                    OutputReport(
                        name=name,
                        max_abs_diff=o.largest,
                        mean_abs_diff=o.total / max(1, o.values),
                        top1_agreement=o.same_class / self.samples,
                        bit_identical=o.bit_identical,
                    )
                    for name, o in s.outputs.items()
                ),
                explanations=tuple(s.explanations),
                asked=self._asked(pair),
                equal_asked=self._equal_asked(pair),
            )
            for pair, s in self._pairs.items()
        )
        layers = tuple(
            LayerReport(
                name=layer.name,
                bits=self._bits[layer.name],
                flipped=tuple(self._flipped.get((layer.name, pair)) for pair in self._pairs),
                identical=self._identical.get(layer.name),
                on_threshold=self._on_threshold[layer.name],
            )
            for layer in self._layers
        )
        if ties := describe_ties(layers, self._signs_of_zero):
            self._notes[ties] = None
        return ComparisonReport(
            samples=self.samples,
            tolerance=LOGIT_TOLERANCE,
            pairs=pairs,
            accuracy=accuracy,
            layers=layers if self._trace_all else None,
            notes=tuple(self._notes),
        )
