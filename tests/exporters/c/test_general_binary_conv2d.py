"""The C code of GeneralBinaryConv2d alone, on random cases, as several compilers make it: NumPy's bits."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from support.c_kernels import ACTIVATIONS, GUARD, Windows, compile_kernels, guarded, pointer
from support.general_cases import GeneralCase, general_cases
from support.generated_c import COMPILERS
from support.oracle import same_bits

from rbnn_deploy.exporters.c.operators.binary_conv2d import pack_windows
from rbnn_deploy.runtimes.numpy_backend.general_binary_conv2d import general_binary_conv2d


class PerOutput(ctypes.Structure):
    _fields_ = [("values", ctypes.c_void_p), ("step", ctypes.c_int)]


class Layer(ctypes.Structure):
    _fields_ = [
        ("windows", Windows),
        *((name, ctypes.c_int) for name in ("pad_value", "residual_step", "residual_behind", "activation")),
        *((name, ctypes.c_void_p) for name in ("weights", "scale", "bias")),
        *((name, PerOutput) for name in ("window_sum", "border", "negative", "positive", "post")),
    ]


SOURCE = """
void layer(const struct general_binary_conv2d* l, const float* x, int rule, const float* thresholds,
           const float* residual, float* y, uint32_t* bits, uint32_t* window);
void layer(const struct general_binary_conv2d* l, const float* x, int rule, const float* thresholds,
           const float* residual, float* y, uint32_t* bits, uint32_t* window) {
  const struct binary_windows* w = &l->windows;
  if (rule == 2) {
    pack_signs_per_channel(x, thresholds, w->height, w->width, w->channels, w->groups, bits);
  } else {
    const float t = rule == 1 ? sample_mean(x, w->height, w->width * w->channels) : thresholds[0];
    pack_signs(x, t, w->height, w->width, w->channels, w->groups, bits);
  }
  general_binary_conv2d(l, bits, residual, y, window);
}
"""
KERNELS = ("sample_mean", "pack_signs", "pack_signs_per_channel", "general_binary_conv2d")


@pytest.fixture(scope="module", params=COMPILERS, ids=" ".join)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("kernel")
    return compile_kernels(KERNELS, SOURCE, folder, request.param)


def per_output(values: np.ndarray | None, kept: list[np.ndarray], *, unless_zero: bool = False) -> PerOutput:
    if values is None or (unless_zero and values.size == 1 and values.ravel()[0] == 0):
        return PerOutput(None, 0)
    kept.append(np.ascontiguousarray(values))
    return PerOutput(kept[-1].ctypes.data, int(values.size > 1))


def run(library: ctypes.CDLL, case: GeneralCase) -> np.ndarray:
    arrays, a = case.arrays(), case.attributes
    X, R, T = arrays["X"], arrays["R"], arrays["T"]
    words = pack_windows(arrays["W"], a.group_channels)
    windows = Windows.of(case.base, words)
    residual = np.zeros(1, np.float32) if R is None else R
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    kept: list[np.ndarray] = []
    layer = Layer(
        windows, a.pad_value, int(residual.size > 1), int(a.residual == "after_activation"),
        ACTIVATIONS.index(a.activation),
        *(array.ctypes.data for array in (words, arrays["scale"], arrays["bias"])),
        per_output(arrays["window_sum"], kept, unless_zero=True),
        per_output(arrays["border"], kept, unless_zero=True),
        per_output(arrays["neg"], kept),
        per_output(one if arrays["pos"] is None else arrays["pos"], kept),
        per_output(zero if arrays["post"] is None else arrays["post"], kept),
    )  # fmt: skip
    thresholds = T if a.threshold == "per_channel" else zero
    rule = 1 if a.threshold == "sample_mean" else 2 if thresholds.size > 1 else 0
    Y = np.full((len(X), *windows.out_size, case.base.outputs), np.nan, np.float32)
    bits, window = guarded(windows.bit_words), guarded(3 * windows.words)
    for index in range(len(X)):
        r = np.ascontiguousarray(residual if residual.size == 1 else residual[index])
        if r.size > 1 and index % 2:  # in place
            Y[index] = r
            r = Y[index]
        x, t = np.ascontiguousarray(X[index]), np.ascontiguousarray(thresholds)
        given = (pointer(x), rule, pointer(t), pointer(r), pointer(Y[index]), pointer(bits), pointer(window))
        library.layer(ctypes.byref(layer), *given)
        assert bits[-1] == window[-1] == GUARD
    return Y


def test_grid(library: ctypes.CDLL) -> None:
    cases = general_cases(400)
    for case in cases:
        arrays = case.arrays()
        assert same_bits(run(library, case), general_binary_conv2d(**arrays, attributes=case.attributes)), (
            str(case)
        )
    for name in ("window_sum", "border"):
        assert sum(case.arrays()[name] is not None for case in cases) > 200
