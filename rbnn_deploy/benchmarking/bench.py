"""Benchmarks a deployed model beside its baselines, all in one process and in turns."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from rbnn_deploy.benchmarking.float_baseline import float_baseline
from rbnn_deploy.benchmarking.host import describe_host, read_clock, read_state
from rbnn_deploy.benchmarking.layer_times import profiler_overhead, read_profile, split_times
from rbnn_deploy.benchmarking.memory import measure_memory
from rbnn_deploy.benchmarking.report import OURS, BenchReport, Result
from rbnn_deploy.benchmarking.sessions import Candidate, Peak, name_every_node
from rbnn_deploy.benchmarking.timing import WARM_UP_RUNS, time_in_rounds
from rbnn_deploy.data import normalise
from rbnn_deploy.errors import UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import (
    binary_conv_attributes,
    constants,
    is_binary_conv,
    is_quant_conv,
    producers,
    quant_conv_attributes,
    signature,
)
from rbnn_deploy.ort_quantizer import quantize_static
from rbnn_deploy.pixel_input import add_pixel_input
from rbnn_deploy.quant_conv2d_rules import count_products
from rbnn_deploy.runtimes import Runtime, load_model
from rbnn_deploy.runtimes.onnx_runtime import OrtRuntime, create_session
from rbnn_deploy.signature import Array, batches

BASELINES = ("fp32", "int8", "portable")
FLOAT_BASELINES = {"fp32", "int8"}
CALIBRATION_SAMPLES = 8
NO_PLAIN_GRAPH = (
    "no float baseline: an earlier version wrote this file, without its plain graph; export it again"
)
PROFILED = "profiled"
SETTLE_SECONDS = 0.03  # far longer than ONNX Runtime's threads spin
LONGEST = 86_400  # seconds of timing
Announce = Callable[[str], None]


def build_baselines(
    model: Runtime, names: Sequence[str], folder: Path, samples: Mapping[str, Array]
) -> list[Candidate]:
    """Writes the files of the baselines.

    Args:
        model: The deployed model. If it takes pixels and normalises them itself, so do the baselines.
        names: Some of BASELINES.
        folder: Where new files go.
        samples: Inputs of the model, by name, that calibrate int8.

    Returns:
        The baselines; without "fp32" and "int8" where the file does not hold its plain graph.

    Raises:
        UserError: There is no baseline of a name, or the model's plain graph is damaged.
    """
    for name in names:
        if name not in BASELINES:
            raise UserError(f"there is no baseline {name!r}; choose from {', '.join(BASELINES)}")
    candidates = []
    path = model.path
    image = model.metadata.image if model.metadata is not None and model.metadata.takes_pixels else None
    plain = float_baseline(read_model(path).model) if FLOAT_BASELINES & set(names) else None
    built = {} if plain is None else {"fp32": plain}
    if plain is not None and image is not None:  # within, the baselines take normalised images
        (own,), (x,) = signature(plain.graph).inputs, samples.values()
        samples = {own.name: normalise(x, image.mean, image.std)}
    if plain is not None and "int8" in names:
        built["int8"] = quantize_static(plain, batches(samples, 1))
    for name, baseline in built.items():
        if image is not None:
            add_pixel_input(baseline, image, model.signature.inputs[0].name)
        onnx.save(baseline, folder / f"{name}.onnx")
    for name in dict.fromkeys(names):
        if plain is None and name in FLOAT_BASELINES:
            continue
        candidates.append(Candidate(name, path if name == "portable" else folder / f"{name}.onnx"))
    return candidates


def count_macs(model: onnx.ModelProto, loaded: Runtime, x: Mapping[str, Array]) -> dict[str, int]:
    """Counts binary multiply-accumulates, taps in the padding included, as is usual.

    Args:
        model: The deployed model; its nodes have names.
        loaded: The same, to find the size of every output.
        x: Its inputs, by name.

    Returns:
        Multiply-accumulates of the whole batch by name of the layer.
    """
    layers = [node for node in model.graph.node if is_binary_conv(node)]
    maps = loaded.run_with(x, [node.input[0] for node in layers])
    values = constants(model.graph)
    macs = {}
    for node in layers:
        attributes, W, X = (
            binary_conv_attributes(node),
            values[node.input[1]].shape,
            maps[node.input[0]].shape,
        )
        size = attributes.conv_size((X[1], X[2]), (W[1], W[2]))
        macs[node.name] = math.prod((*W[:3], attributes.group_channels, X[0], *size))
    return macs


def count_int8_macs(model: onnx.ModelProto, loaded: Runtime, x: Mapping[str, Array]) -> dict[str, int]:
    """Counts the multiply-accumulates of QuantConv2d; see `count_macs`."""
    layers = [node for node in model.graph.node if is_quant_conv(node)]
    computed = [name for node in layers if (name := node.input[0]) not in x]
    inputs = {**x, **(loaded.run_with(x, computed) if computed else {})}
    values = constants(model.graph)
    macs = {}
    for node in layers:
        attributes, shape = quant_conv_attributes(node), inputs[node.input[0]].shape
        products = count_products(values[node.input[1]].shape, attributes.map_size(shape), attributes)
        macs[node.name] = shape[0] * products
    return macs


def bench(
    model: str | Path,
    *,
    threads: int = 1,
    batch: int = 1,
    baselines: Sequence[str] = ("fp32", "int8"),
    runs: int | None = None,
    warmup: int = WARM_UP_RUNS,
    duration: float | None = None,
    announce: Announce = lambda text: None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> BenchReport:
    """Times a deployed model, its layers and its baselines, and measures their memory.

    Args:
        model: The .onnx file.
        threads: Threads that compute one operator.
        batch: Samples in one run.
        baselines: "fp32" and "int8", the same topology without binary layers; "portable", the same file
            without the operator library.
        runs: How many rounds are timed; None for as many as fit into the duration.
        warmup: Runs of each model before the first round.
        duration: Seconds of timing, where `runs` is None; None for about 20, with 300 rounds at most.
        announce: Called with the name of each step as it begins.
        advance: Told how many rounds of how many are done.

    Raises:
        UserError: The model is no deployed model, a setting makes no sense, or the library is missing.
    """
    path = Path(model)
    if duration is not None and not 0 < duration <= LONGEST:
        raise UserError(f"--duration is a number of seconds up to {LONGEST}, not {duration:g}")
    if runs is not None and duration is not None:
        raise UserError("--runs and --duration both say how long to time; give one of them")
    given = {"--threads": threads, "--batch": batch, "--runs": runs, "--warmup": warmup}
    for what, value in given.items():
        if value is not None and value < 1:
            raise UserError(f"{what} must be at least 1, not {value}; give a positive number")
    named = read_model(path).model
    name_every_node(named)
    if not any(map(is_binary_conv, named.graph.node)):
        raise UserError(f"{path} has no binary layers; name a file that `rbnn-deploy export` wrote")
    loaded = load_model(path, threads=threads)
    name = loaded.metadata.architecture if loaded.metadata else path.name
    takes = loaded.signature.with_sizes(loaded.metadata.input_shape if loaded.metadata else None)
    samples = takes.draw(np.random.default_rng(0), max(batch, CALIBRATION_SAMPLES))
    x = next(batches(samples, batch))
    macs, int8_macs = count_macs(named, loaded, x), count_int8_macs(named, loaded, x)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if FLOAT_BASELINES & set(baselines):
            announce("building the baselines")
        candidates = [
            Candidate(OURS, path, library=True),
            *build_baselines(loaded, baselines, folder, samples),
        ]
        if {c.name for c in candidates} < {OURS, *baselines}:
            announce(NO_PLAIN_GRAPH)
        announce("measuring memory")
        memory = {
            c.name: measure_memory(
                c.path, library=c.library, threads=threads, batch=batch, inputs=takes.inputs
            )
            for c in candidates
        }
        profiled = create_session(
            named.SerializeToString(), library=True, threads=threads, profile=folder / "profile"
        )
        sessions = {
            c.name: OrtRuntime(c.path, library=c.library, threads=threads).session for c in candidates
        }
        peak = Peak()
        peaks: list[float] = []
        clocks: list[float | None] = []

        def each_round() -> None:
            peaks.append(peak())
            clocks.append(read_clock())

        before = read_state()
        announce("timing")
        timings = time_in_rounds(
            {key: partial(session.run, None, x) for key, session in {**sessions, PROFILED: profiled}.items()},
            runs,
            each_round=each_round,
            advance=advance,
            settle=SETTLE_SECONDS if threads > 1 else 0.0,
            warmup=warmup,
            duration=duration,
        )
        after = read_state()
        rounds = len(peaks)
        # The second run of each round counts, as it does for the time without a profile.
        keep = [warmup + 2 * i + 1 for i in range(rounds)]
        nodes = read_profile(Path(profiled.end_profiling()), keep)
        results = tuple(
            Result(
                c.name,
                (timing := timings[c.name]).median,
                timing.percentile(10),
                timing.percentile(90),
                rounds,
                c.path.stat().st_size,
                memory[c.name]["peak_rss_mb"],
                timing.mean,
                timing.percentile(99),
                1e3 * batch / timing.median,
            )
            for c in candidates
        )
    sources = {value: node.name for value, node in producers(named.graph).items()}
    overhead = profiler_overhead(nodes, 1e3 * results[0].mean_ms)
    layers, int8_layers, others = split_times(
        nodes, overhead, macs, int8_macs, threads * np.array(peaks), sources
    )
    return BenchReport(
        model=name,
        host=describe_host(before, after, threads, clocks),
        threads=threads,
        batch=batch,
        results=results,
        layers=layers,
        int8_layers=int8_layers,
        float_nodes=others,
        peak_gmacs=float(np.median(peaks)),
        profiler_us=overhead,
        imports_mb=memory[OURS]["imports_mb"],
    )
