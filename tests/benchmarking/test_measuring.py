"""The parts of a benchmark that turn what was measured into numbers; at any speed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rbnn_deploy.benchmarking import layer_times, timing


def test_rounds_are_in_turns_and_only_the_second_run_counts() -> None:
    calls: list[str] = []
    times = timing.time_in_rounds(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        3,
        each_round=lambda: calls.append("|"),
    )
    assert "".join(calls) == "abab" + "aabb|" * 3
    assert [len(t.milliseconds) for t in times.values()] == [3, 3]


def test_rounds_fill_the_time() -> None:
    assert timing.choose_rounds(0.2) == 100
    assert timing.choose_rounds(100.0) == timing.FEWEST_ROUNDS
    assert timing.choose_rounds(0.0) == timing.MOST_ROUNDS


def test_means_tell_layers_apart_that_ticks_do_not() -> None:
    rng = np.random.default_rng(0)
    # Two layers of 3.2 and 3.4 us by a clock of whole microseconds, and now and then another program.
    ticks = [
        np.floor(time + rng.uniform(size=400)) + 500 * (rng.uniform(size=400) < 0.05) for time in (3.2, 3.4)
    ]
    assert np.median(ticks[0]) == np.median(ticks[1]) == 3
    means = [timing.trimmed_mean(values) for values in ticks]
    assert 0.1 < means[1] - means[0] < 0.3
    assert timing.trimmed_mean([1.0, 2.0, 6.0]) == 3.0


def test_a_duration_and_a_warm_up() -> None:
    assert timing.choose_rounds(0.2, 2.0) == 10
    assert timing.choose_rounds(0.01, 60.0) == 6000
    calls: list[str] = []
    timing.time_in_rounds({"a": lambda: calls.append("a")}, 2, warmup=5)
    assert len(calls) == 5 + 2 * 2


def test_percentiles() -> None:
    measured = timing.Timing(tuple(float(i) for i in range(11)))
    assert (measured.percentile(10), measured.median, measured.percentile(90)) == (1.0, 5.0, 9.0)


def event(operator: str, name: str, microseconds: int) -> dict[str, object]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": {"op_name": operator}}


def write_profile(path: Path, runs: list[tuple[int, int]]) -> Path:
    events = [{"cat": "Session", "name": "model_run", "dur": 1}]
    for conv, binary in runs:
        events += [event("Conv", "getitem_nchwc", conv), event("BinaryConv2d", "layer", binary)]
    events.append(event("Add", "in_a_subgraph", 1))
    path.write_text(json.dumps(events))
    return path


def test_profile_becomes_tables(tmp_path: Path) -> None:
    path = write_profile(tmp_path / "profile.json", [(900, 900), (25, 15), (900, 900), (35, 25), (1, 1)])
    nodes = layer_times.read_profile(path, keep=[1, 3])
    assert {name: list(values) for (_, name), values in nodes.items()} == {
        "getitem_nchwc": [25, 35],
        "layer": [15, 25],
    }
    # Medians of 40 and 60 are 50; without a profile 40: 10 too many on two nodes.
    overhead = layer_times.profiler_overhead(nodes, 40.0)
    assert overhead == 5.0
    peaks, names = np.array([6.0, 2.0]), {"getitem": "conv1"}
    binary, int8, others = layer_times.split_times(nodes, overhead, {"layer": 30_000}, {}, peaks, names)
    # 30000 MACs in 15 us are 2 G MAC/s, half of the mean peak, 4.
    assert binary == (layer_times.LayerTime("layer", 30_000, 15.0, 0.5, 15.0),)
    assert others == (layer_times.NodeTime("conv1", "Conv", 25.0, 25.0),)
    assert int8 == ()
    binary, int8, _ = layer_times.split_times(nodes, overhead, {}, {"layer": 900}, peaks, names)
    assert binary == ()
    assert int8 == (layer_times.Int8LayerTime("layer", 900, 15.0, 15.0),)


def test_overhead_is_never_negative_nor_another_programs_time() -> None:
    nodes = {("Conv", "a"): np.array([10.0])}
    assert layer_times.profiler_overhead(nodes, 50.0) == 0.0
    assert (
        layer_times.profiler_overhead({("Conv", "a"): np.array([1000.0])}, 50.0) == layer_times.MOST_OVERHEAD
    )
    assert layer_times.profiler_overhead({}, 50.0) == 0.0


@pytest.mark.parametrize(
    ("name", "original"),
    [("getitem_nchwc", "conv1"), ("conv1_token_12", "conv1"), ("fc", "fc"), ("other_nchwc", "other_nchwc")],
)
def test_original_names(name: str, original: str) -> None:
    assert layer_times.original_name(name, {"getitem": "conv1"}) == original


TOUCH = """
import numpy as np
from rbnn_deploy.benchmarking.memory import peak_kilobytes
before = peak_kilobytes()
empty = np.empty(50_000_000, np.uint8)
untouched = peak_kilobytes()
block = np.ones(50_000_000, np.uint8)
print(untouched - before, peak_kilobytes() - untouched)
"""


def test_peak_memory_grows_with_what_is_touched() -> None:
    # In a process of its own: the peak of this one may lie far above what it holds now.
    done = subprocess.run([sys.executable, "-c", TOUCH], capture_output=True, text=True, check=True)
    untouched, touched = map(int, done.stdout.split())
    # 50 MB are 48828 kB; what the imports have freed may be used again, and other pages may come along.
    assert untouched < 5_000
    assert 40_000 < touched < 55_000
