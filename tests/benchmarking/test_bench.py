"""A benchmark of a small model end to end: what it writes, draws and refuses; no figure's size is tested."""

import importlib
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image
from support.paths import ROOT
from support.quant_network import quant_network
from support.small_models import LAYERS, small_model

from rbnn_deploy.benchmarking import BenchReport, bench, render, timing
from rbnn_deploy.benchmarking.float_baseline import float_baseline
from rbnn_deploy.benchmarking.host import State
from rbnn_deploy.benchmarking.layer_times import Int8LayerTime
from rbnn_deploy.benchmarking.plot import write_plot
from rbnn_deploy.benchmarking.sessions import Peak
from rbnn_deploy.cli import main
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import DOMAIN, OPERATORS, QuantConv2dAttributes
from rbnn_deploy.runtimes.onnx_runtime import OrtRuntime

bench_module = importlib.import_module(
    "rbnn_deploy.benchmarking.bench"
)  # the package has a function of its name
MACS = 20 * 20 * 9 * 64  # one layer of the small model, one image
NUMBER = (int, float)
SCHEMA: dict[str, Any] = {
    "host": dict,
    "threads": int,
    "batch": int,
    "results": [{"name": str, "median_ms": NUMBER, "p10_ms": NUMBER, "p90_ms": NUMBER, "runs": int}],
    "speedup": dict,
    "layers": [{"name": str, "binary_macs": int, "median_us": NUMBER, "peak_fraction": NUMBER}],
    "peak_gmacs": NUMBER,
    "peak_rss_mb": NUMBER,
}


def assert_schema(value: Any, schema: Any, where: str = "$") -> None:
    if isinstance(schema, dict):
        assert set(schema) <= set(value), where
        for key, inner in schema.items():
            assert_schema(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        assert value, where
        for item in value:
            assert_schema(item, schema[0], f"{where}[]")
    else:
        assert isinstance(value, schema), where


@pytest.fixture(scope="module")
def report(small_model_path: Path) -> BenchReport:
    return bench(small_model_path, runs=3, batch=2, baselines=["fp32", "int8", "portable"])


def test_the_timed_sessions_are_those_of_load_model(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[OrtRuntime] = []
    original = OrtRuntime.__init__

    def remember(self: OrtRuntime, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        made.append(self)

    timed: dict[str, Any] = {}

    def time_in_rounds(candidates: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        timed.update({name: run.func.__self__ for name, run in candidates.items()})
        return timing.time_in_rounds(candidates, *arguments, **options)

    monkeypatch.setattr(OrtRuntime, "__init__", remember)
    monkeypatch.setattr(bench_module, "time_in_rounds", time_in_rounds)
    bench(small_model_path, runs=1, baselines=["portable"])
    sessions = {id(runtime.session): runtime for runtime in made}
    assert {timed[name].get_session_options().intra_op_num_threads for name in timed} == {1}
    assert [sessions[id(timed[name])].name for name in ("ort", "portable")] == ["ort", "ort-portable"]


def test_json(report: BenchReport) -> None:
    content = json.loads(json.dumps(report.to_json()))
    assert_schema(content, SCHEMA)
    assert (content["threads"], content["batch"], content["model"]) == (1, 2, "small")
    assert [result["name"] for result in content["results"]] == ["ort", "fp32", "int8", "portable"]
    assert set(content["speedup"]) == {"fp32", "int8", "portable"}
    assert {result["runs"] for result in content["results"]} == {3}
    assert [(layer["name"], layer["binary_macs"]) for layer in content["layers"]] == [
        (name, 2 * MACS) for name in LAYERS
    ]
    assert {"Conv", "Gemm"} <= {node["operator"] for node in content["float_nodes"]}
    for name in ("processor", "cores", "kernel", "cpu_features", "warnings", "before", "after"):
        assert name in content["host"]


def test_numbers_fit_together(report: BenchReport) -> None:
    ours = report.results[0]
    for result in report.results:
        assert 0 < result.p10_ms <= result.median_ms <= result.p90_ms <= result.p99_ms
        assert result.images_per_second == 2e3 / result.median_ms
        assert result.file_bytes > 0
        assert result.name == "ort" or report.speedup[result.name] == result.median_ms / ours.median_ms
    assert report.results[3].file_bytes == ours.file_bytes
    for layer in report.layers:
        assert layer.median_us > 0
        assert layer.peak_fraction is not None
        assert layer.peak_fraction > 0
    assert report.peak_gmacs > 0


def test_text(report: BenchReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    state = State(load=12.34, megahertz=12345.6, celsius=123.4, throttled=0)
    host = replace(report.host, before=state, after=state, governor="schedutil")
    host = replace(host, lowest_megahertz=1234.5, full_megahertz=12345.6)  # as long as the lines come
    text = render(replace(report, host=host))
    for word in ("fp32", "int8", "portable", *LAYERS, "3 binary layers", "all nodes", report.host.kernel):
        assert word in text
    lines = [line.split("  ")[0] for line in text.splitlines()]
    for name in (*LAYERS, *(node.name for node in report.float_nodes)):
        assert lines.count(name) == 1
    assert max(map(len, text.splitlines())) <= 80


def test_int8_layers_have_a_table_and_count_in_the_sum(report: BenchReport) -> None:
    other = report.float_nodes[0]
    layer = Int8LayerTime("stem", 5_000_000, other.median_us, other.mean_us)
    with_int8 = replace(report, int8_layers=(layer,), float_nodes=report.float_nodes[1:])
    before, after = (render(each).splitlines() for each in (report, with_int8))
    assert before[-1].split() == after[-1].split()  # the sum of all nodes
    (row,) = [line.split() for line in after if line.startswith("stem ")]
    assert row[1] == "5.00"
    assert row[-1] == f"{5_000 / other.mean_us:.0f}"
    assert any(line.startswith("1 int8 layers") for line in after)
    assert "int8 layer" not in "".join(before).replace("int8 (same net)", "")
    assert with_int8.to_json()["int8_layers"] == [asdict(layer)]


def test_a_model_with_int8_layers(tmp_path: Path) -> None:
    onnx.save(quant_network(), tmp_path / "m.onnx")
    report = bench(tmp_path / "m.onnx", runs=2, batch=3, baselines=[])
    # Kernel, channels, outputs, and the map in front of the pool, of each layer.
    assert {layer.name: layer.int8_macs for layer in report.int8_layers} == {
        "stem": 3 * 7 * 7 * 3 * 24 * 16 * 15,
        "shortcut": 3 * 24 * 40 * 4 * 4,
        "wide": 3 * 3 * 3 * 40 * 40 * 4 * 4,
        "head": 3 * 40 * 10,
    }
    assert [layer.name for layer in report.layers] == ["binary"]
    assert all(layer.mean_us > 0 for layer in report.int8_layers)
    assert not {node.operator for node in report.float_nodes} & set(OPERATORS)


def test_int8_macs_of_a_batch() -> None:
    # A mean of 2 x 2 with stride 2 makes 4 x 4 of 8 x 8; the pool behind the product changes nothing.
    attributes = QuantConv2dAttributes(
        3, mean_kernel=(2, 2), mean_strides=(2, 2), pool_kernel=(2, 2), layout="channels_first"
    )
    node = helper.make_node("QuantConv2d", ["x", "w", "s", "b", "f"], ["y"], "q", domain=DOMAIN)
    node.attribute.extend(helper.make_attribute(*item) for item in attributes.to_dict().items())
    weight = numpy_helper.from_array(np.zeros((5, 1, 3, 3), np.int8), "w")
    model = helper.make_model(helper.make_graph([node], "g", [], [], [weight]))
    x = {"x": np.zeros((7, 3, 8, 8), np.float32)}
    # No runtime is asked, as the layer reads the model's input.
    assert bench_module.count_int8_macs(model, None, x) == {"q": 7 * 5 * 9 * 4 * 2}


def test_plot(report: BenchReport, tmp_path: Path) -> None:
    write_plot(report, tmp_path / "bench.png")
    with Image.open(tmp_path / "bench.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 500
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
    with pytest.raises(UserError, match=r"\.png"):
        write_plot(report, tmp_path / "bench.svg")


def test_peak_is_of_the_kernel_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = sorted(Peak()() for _ in range(5))
    monkeypatch.setenv("RBNN_KERNEL", "portable")
    portable = sorted(Peak()() for _ in range(5))
    assert 0 < portable[2] <= 1.5 * rates[2]  # never faster, but for the accidents of a busy machine


def test_command_line(small_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "bench.json"
    with pytest.raises(SystemExit) as exit_info:
        main(["bench", str(small_model_path), "--runs", "2", "--baseline", "fp32", "--json", str(target)])
    assert not exit_info.value.code
    captured = capsys.readouterr()
    assert "3 binary layers" in captured.out
    assert "timing ..." in captured.err
    written = json.loads(target.read_text())
    assert_schema(written, SCHEMA)
    assert written["schema"] == "rbnn-deploy.bench/1"


def test_a_sweep_gives_one_row_per_setting(
    small_model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ([], ["--json", "-", "--quiet"]):
        with pytest.raises(SystemExit) as exit_info:
            main(
                [
                    "bench",
                    str(small_model_path),
                    "--runs",
                    "1",
                    "--baseline",
                    "fp32",
                    "--batch",
                    "1,3",
                    *options,
                ]
            )
        assert not exit_info.value.code
        captured = capsys.readouterr()
        if options:
            assert captured.err == ""
            sweep = json.loads(captured.out)["benchmarks"]
            assert [(entry["threads"], entry["batch"]) for entry in sweep] == [(1, 1), (1, 3)]
            for entry in sweep:
                assert_schema(entry, SCHEMA)
        else:
            rows = [line.split()[:2] for line in captured.out.splitlines()]
            assert ["1", "1"] in rows
            assert ["1", "3"] in rows


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--baseline", "fp16"], "fp16"),
        (["--threads", "0"], "--threads"),
        (["--threads", "1,x"], "--threads"),
        (["--batch", "1,2", "--plot", "picture.png"], "--plot"),
        (["--batch", "0"], "--batch"),
        (["--runs", "0"], "--runs"),
        (["--warmup", "0"], "--warmup"),
        (["--duration", "nan"], "--duration"),
        (["--runs", "1", "--duration", "1"], "--duration"),
        (["--plot", "picture.svg"], ".png"),
    ],
)
def test_bad_settings(
    arguments: list[str], word: str, small_model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["bench", str(small_model_path), *arguments])
    assert exit_info.value.code == 2
    # Progress may stand in front of the error.
    assert word in capsys.readouterr().err.splitlines()[-1]


def test_a_file_of_an_earlier_version_has_no_float_baseline_and_bench_says_so(tmp_path: Path) -> None:
    model = small_model(metadata=False)  # nor the plain graph
    onnx.save(model, tmp_path / "old.onnx")
    announced: list[str] = []
    report = bench(
        tmp_path / "old.onnx", runs=1, baselines=["fp32", "int8", "portable"], announce=announced.append
    )
    assert [result.name for result in report.results] == ["ort", "portable"]
    assert any("no float baseline: an earlier version wrote this file" in text for text in announced)


def test_models_without_binary_layers_are_refused(tmp_path: Path) -> None:
    real = float_baseline(small_model())
    onnx.save(real, tmp_path / "float.onnx")
    with pytest.raises(UserError, match="no binary layers"):
        bench(tmp_path / "float.onnx", runs=1)


def test_a_device_benchmarks_without_training_packages(small_model_path: Path) -> None:
    code = (
        "import sys\n"
        "from rbnn_deploy.benchmarking import bench, render\n"
        f"render(bench({str(small_model_path)!r}, runs=1, baselines=['fp32', 'int8', 'portable']))\n"
        "print(*sorted(set(sys.modules) & {'torch', 'onnxscript', 'onnxsim', 'onnx_ir', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
