"""Whether a model that was read from another format computes what the other file says."""

import warnings
from pathlib import Path

import numpy as np

from rbnn_deploy.comparing.export_check import RUNTIME, SAMPLES, SEED
from rbnn_deploy.errors import UnsupportedModelError, UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.signature import Array

# Of a sample's largest logit: a bit that differs moves logits by more, and the order of float sums by less.
TOLERANCE = 1e-3


def check_import(model: Path, reference: Path) -> None:
    """Runs a few random inputs through a deployed model and through the other file's float network.

    In NumPy where it has all operators: ONNX Runtime would fold scales into the reference's float weights,
    and round each sum that lies on a threshold to either side.

    An activation that lies on its threshold may flip by the rounding of a float layer in front of it. So
    inputs that differ are tolerated with a warning as long as others agree.

    Args:
        model: The deployed model.
        reference: A model in standard operators.

    Raises:
        UserError: Every input gives another result.
    """
    drawn = signature(read_model(model).model.graph).draw(np.random.default_rng(SEED), SAMPLES)
    (samples,) = drawn.values()
    try:
        found, expected = _run(model, reference, "numpy", samples)
    except UnsupportedModelError:
        found, expected = _run(model, reference, RUNTIME, samples)
    axes = tuple(range(1, found.ndim))
    with np.errstate(invalid="ignore"):  # a difference of infinities
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        gaps = np.where(same, 0, np.abs(found - expected))
    size = np.maximum(np.abs(expected).max(axis=axes, where=np.isfinite(expected), initial=0), 1)
    apart = gaps.max(axis=axes) / size
    wrong = int((~(apart <= TOLERANCE)).sum())
    if wrong == SAMPLES:
        raise UserError(
            f"the model computes something else than the file that it was read from: all {SAMPLES} random "
            f"inputs have logits up to {apart.max():.3g} of the largest one apart; please report it, or pass "
            "check=False or --no-check to write the model all the same"
        )
    if wrong:
        warnings.warn(
            f"{wrong} of {SAMPLES} random inputs have logits up to {apart.max():.3g} of the largest one "
            "apart from the file's: an activation on its threshold may flip by the rounding of a float layer",
            stacklevel=3,
        )


def _run(model: Path, reference: Path, runtime: str, samples: Array) -> tuple[Array, Array]:
    """Runs the samples as one batch, and one by one through the reference, whose batch is 1 by its format."""
    single = load_model(reference, runtime=runtime)
    expected = np.concatenate([single.run(sample[None]) for sample in samples])
    return load_model(model, runtime=runtime).run(samples), expected
