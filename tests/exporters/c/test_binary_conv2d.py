"""The C code of BinaryConv2d alone, on the operator's grid, as several compilers make it: NumPy's bits."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from support.c_kernels import ACTIVATIONS, GUARD, Windows, compile_kernels, guarded
from support.generated_c import COMPILERS
from support.operator_cases import Case, covering_cases, random_cases
from support.oracle import same_bits

from rbnn_deploy.exporters.c.operators.binary_conv2d import pack_windows
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d


class Layer(ctypes.Structure):
    _fields_ = [
        ("windows", Windows),
        *((name, ctypes.c_int) for name in ("residual_step", "activation")),
        *((n, ctypes.c_void_p) for n in ("w", "s", "b")),
    ]


SOURCE = """
void layer(const struct binary_conv2d* l, const float* x, int mean, const float* residual, float* y,
           uint32_t* bits, uint32_t* window);
void layer(const struct binary_conv2d* l, const float* x, int mean, const float* residual, float* y,
           uint32_t* bits, uint32_t* window) {
  const float t = mean ? sample_mean(x, l->windows.height, l->windows.width * l->windows.channels) : 0.0f;
  pack_signs(x, t, l->windows.height, l->windows.width, l->windows.channels, l->windows.groups, bits);
  binary_conv2d(l, bits, residual, y, window);
}
"""


@pytest.fixture(scope="module", params=COMPILERS, ids=" ".join)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("kernel")
    return compile_kernels(("sample_mean", "pack_signs", "binary_conv2d"), SOURCE, folder, request.param)


def run(library: ctypes.CDLL, case: Case) -> np.ndarray:
    arrays, a = case.arrays(), case.attributes
    X, R = arrays["X"], arrays["R"]
    words = pack_windows(arrays["W"], a.channels // a.groups)
    residual = np.zeros(1, np.float32) if R is None else R
    step = 0 if residual.size == 1 else 1
    pointers = [array.ctypes.data for array in (words, arrays["scale"], arrays["bias"])]
    windows = Windows.of(case, words)
    layer = Layer(windows, step, ACTIVATIONS.index(a.activation), *pointers)
    Y = np.full((len(X), *windows.out_size, case.outputs), np.nan, np.float32)
    bits, window = guarded(windows.bit_words), guarded(2 * windows.words)
    for index in range(len(X)):
        r = residual if residual.size == 1 else residual[index]
        arguments = [np.ascontiguousarray(v).ctypes for v in (X[index], r)]
        library.layer(
            ctypes.byref(layer), arguments[0].data_as(ctypes.c_void_p), int(a.threshold == "sample_mean"),
            arguments[1].data_as(ctypes.c_void_p), Y[index].ctypes.data_as(ctypes.c_void_p),
            bits.ctypes.data_as(ctypes.c_void_p), window.ctypes.data_as(ctypes.c_void_p),
        )  # fmt: skip
        assert bits[-1] == window[-1] == GUARD
    return Y


def test_grid(library: ctypes.CDLL) -> None:
    for case in (*covering_cases(), *random_cases(100)):
        arrays = case.arrays()
        R = arrays.pop("R")
        assert same_bits(run(library, case), binary_conv2d(**arrays, R=R, attributes=case.attributes)), str(
            case
        )


@pytest.mark.parametrize("words", [1, 2, 3, 4, 5, 7, 8, 29, 30, 31, 60, 61, 100])
def test_a_window_of_any_length_in_which_every_bit_differs(words: int, library: ctypes.CDLL) -> None:
    """So the sums of the counting, in fours and in bytes, are at their largest."""
    channels = words * 32
    W, one = np.zeros((1, words), np.uint32), np.ones(1, np.float32)
    layer = Layer(Windows(1, 1, channels, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, words), 0, 0)
    layer.w, layer.s, layer.b = (array.ctypes.data for array in (W, one, one))
    X, Y = np.ones(channels, np.float32), np.zeros(1, np.float32)
    bits, window = np.zeros(words, np.uint32), np.zeros(2 * words, np.uint32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (X, one, Y, bits, window)]
    library.layer(ctypes.byref(layer), pointers[0], 0, *pointers[1:])
    assert Y[0] == -channels + 1 + 1
