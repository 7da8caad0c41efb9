"""The program that comes with the C files: one recorded image, and the outputs that it must give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.exporters.c.lines import lines_of
from rbnn_deploy.exporters.c.structures import float_constant
from rbnn_deploy.metadata import ModelMetadata

# Computes logits float32 [N, classes] from float32 [N, C, H, W]. Exporters know no runtime: the caller does.
Judge = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Recording:
    """An input and what it gives.

    Attributes:
        pixels: uint8 [H, W, C] for the image entry, or float32 [C, H, W].
        output: float32, flat.
    """

    pixels: npt.NDArray[Any]
    output: npt.NDArray[np.float32]


def record(shape: tuple[int, int, int], metadata: ModelMetadata | None, judge: Judge) -> Recording:
    """Draws an image and computes its outputs.

    Args:
        shape: (C, H, W).
        metadata: With it the recording goes through the image entry.
        judge: Computes what the C code must give.
    """
    rng = np.random.default_rng(0)
    C, H, W = shape
    if metadata is None:
        x = rng.standard_normal(shape, np.float32)
        return Recording(x, judge(x[None]).reshape(-1))
    from rbnn_deploy.data.preprocessing import normalise  # noqa: PLC0415 - loads Pillow

    pixels = rng.integers(0, 256, (H, W, C), dtype=np.uint8)
    return Recording(pixels, judge(normalise(pixels, metadata.mean, metadata.std)[None]).reshape(-1))


def selftest_c(recording: Recording) -> str:
    """Writes the program; it returns 0 if all outputs are equal, else 1."""
    image = recording.pixels.dtype == np.uint8
    kind, function = ("uint8_t", "model_run_image") if image else ("float", "model_run")
    items = map(str, recording.pixels.ravel()) if image else map(float_constant, recording.pixels.ravel())
    numbers = "\n".join(lines_of(items))
    outputs = "\n".join(lines_of(map(float_constant, recording.output)))
    return f"""\
#include "model.h"

#include <math.h>
#include <stdio.h>

static const {kind} input[MODEL_INPUTS] = {{
{numbers}
}};

/* What rbnn-deploy's NumPy backend computes from it. */
static const float expected[MODEL_OUTPUTS] = {{
{outputs}
}};

int main(void)
{{
    static float output[MODEL_OUTPUTS];
    int i, equal = 0;
    if ({function}(input, output) != 0) {{
        puts("the model did not run");
        return 1;
    }}
    for (i = 0; i < MODEL_OUTPUTS; i++) {{
        equal += output[i] == expected[i] || (isnan(output[i]) && isnan(expected[i]));
    }}
    printf("%d of %d outputs are equal\\n", equal, MODEL_OUTPUTS);
    return equal != MODEL_OUTPUTS;
}}
"""
