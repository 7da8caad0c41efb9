"""The ranges of a model's values on samples, which quantisation is calibrated by."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.signature import Inputs

Range = tuple[float, float]


def value_ranges(model: onnx.ModelProto, names: Sequence[str], batches: Iterable[Inputs]) -> dict[str, Range]:
    """Measures the smallest and the largest element of values, with ONNX Runtime and the operator library.

    Args:
        model: One of this program's own.
        names: Inputs and outputs of the model.
        batches: Samples, as a runtime takes them.

    Returns:
        By name; NaN where a value has one.

    Raises:
        UserError: There is no sample, or the library is missing.
    """
    takes = signature(model.graph)
    session = create_session(model.SerializeToString(), library=True)
    computed = [output.name for output in session.get_outputs() if output.name in names]
    least: dict[str, list[np.float32]] = {name: [] for name in names}
    most: dict[str, list[np.float32]] = {name: [] for name in names}
    samples = 0
    for batch in batches:
        feeds = takes.feeds(batch)
        results = session.run(computed, feeds) if computed else []
        found = {**feeds, **dict(zip(computed, results, strict=True))}
        samples += len(next(iter(feeds.values())))
        for name in names:
            least[name].append(found[name].min())
            most[name].append(found[name].max())
    if not samples:
        raise UserError("there is no image to calibrate with; name a folder that holds some")
    return {name: (float(np.min(least[name])), float(np.max(most[name]))) for name in names}
