"""`compare --inputs` and `--outputs`: a device that can only write files takes part in a comparison."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rbnn_deploy import load_model

SHAPE = (5, 3, 8, 8)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.npy"
    np.save(path, np.random.default_rng(0).standard_normal(SHAPE, np.float32))
    return path


def outputs_of(model: Path, inputs: Path) -> np.ndarray:
    found: np.ndarray = load_model(model, "ort-portable").run(np.load(inputs))
    return found


def test_a_device_that_agrees(small_model_path: Path, inputs: Path, cli: Callable, tmp_path: Path) -> None:
    found = outputs_of(small_model_path, inputs)
    np.savez(tmp_path / "board.npz", any_name=found)
    outcome = cli(
        *(
            "compare",
            small_model_path,
            "--inputs",
            inputs,
            "--outputs",
            tmp_path / "board.npz",
            "--runtimes",
            "ort",
        )
    )
    assert outcome.code == 0, outcome.err
    assert "ort / board.npz" in outcome.out
    assert "only the outputs are known" in " ".join((outcome.out + outcome.err).split())


def test_a_device_that_names_other_classes(
    small_model_path: Path, inputs: Path, cli: Callable, tmp_path: Path
) -> None:
    np.save(tmp_path / "board.npy", -outputs_of(small_model_path, inputs))
    outcome = cli(
        *(
            "compare",
            small_model_path,
            "--inputs",
            inputs,
            "--outputs",
            tmp_path / "board.npy",
            "--runtimes",
            "ort",
        )
    )
    assert outcome.code == 1
    assert "--min-agreement" in outcome.out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x[:3], "holds outputs of fewer samples"),
        (lambda x: np.concatenate([x, x]), "holds outputs of more samples"),
        (lambda x: x.astype(np.float64), "holds float64"),
        (lambda x: x[:, :1], "gives"),
    ],
)
def test_what_is_refused(
    change: Callable, sentence: str, small_model_path: Path, inputs: Path, cli: Callable, tmp_path: Path
) -> None:
    np.save(tmp_path / "board.npy", change(outputs_of(small_model_path, inputs)))
    outcome = cli(
        *(
            "compare",
            small_model_path,
            "--inputs",
            inputs,
            "--outputs",
            tmp_path / "board.npy",
            "--runtimes",
            "ort",
        )
    )
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("absent.npy", None, "does not exist"),
        ("text.npz", b"no archive", "holds no arrays of NumPy"),
        ("text.npy", b"no array", "holds no arrays of NumPy"),
        ("empty.npy", np.zeros((0, *SHAPE[1:]), np.float32), "holds no sample"),
        ("pickled.npy", np.array([{}], object), "holds no arrays of NumPy"),
        ("double.npy", np.zeros(SHAPE), "convert"),
        ("other.npz", {"a": np.zeros(SHAPE, np.float32), "b": np.zeros(1)}, "and not"),
    ],
)
def test_files_that_hold_no_inputs(
    name: str, content: object, sentence: str, small_model_path: Path, cli: Callable, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    outcome = cli("compare", small_model_path, "--inputs", path, "--runtimes", "ort,numpy")
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err


def test_one_source_of_samples(small_model_path: Path, inputs: Path, cli: Callable) -> None:
    outcome = cli("compare", small_model_path, "--inputs", inputs, "--random", 3)
    assert outcome.code == 2
    assert "one of the three" in outcome.err
