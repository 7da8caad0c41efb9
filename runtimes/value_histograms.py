"""How a model's values are spread over samples, which quantisation is calibrated by."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx

from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.signature import Array, Inputs
from rbnn_deploy.value_histogram import BINS, ValueHistogram


def value_histograms(
    model: onnx.ModelProto, names: Sequence[str], batches: Iterable[Inputs], bins: int = BINS
) -> dict[str, ValueHistogram]:
    """Measures values with ONNX Runtime and the operator library.

    Args:
        model: One of this program's own.
        names: Inputs and outputs of the model.
        batches: Samples, as a runtime takes them; with bins they are run twice, and held in memory.
        bins: How many to count elements in; 0 finds the smallest and the largest only.

    Returns:
        By name.

    Raises:
        UserError: There is no sample, or the library is missing.
    """
    takes = signature(model.graph)
    session = create_session(model.SerializeToString(), library=True)
    computed = [output.name for output in session.get_outputs() if output.name in names]

    def values(batch: Inputs) -> Mapping[str, Array]:
        feeds = takes.feeds(batch)
        results = session.run(computed, feeds) if computed else []
        return {**feeds, **dict(zip(computed, results, strict=True))}

    if bins:
        batches = list(batches)
    least: dict[str, list[float]] = {name: [] for name in names}
    most: dict[str, list[float]] = {name: [] for name in names}
    count = 0
    for count, found in enumerate(map(values, batches), 1):  # noqa: B007 - read behind the loop
        for name in names:
            least[name].append(float(found[name].min()))
            most[name].append(float(found[name].max()))
    if not count:
        raise UserError("there is no image to calibrate with; name a folder that holds some")
    ranges = {name: (float(np.min(least[name])), float(np.max(most[name]))) for name in names}
    # A value without an extent has nothing to count in bins.
    spread = [name for name, (low, high) in ranges.items() if np.isfinite((low, high)).all() and low < high]
    counts = {name: np.zeros(bins, np.int64) for name in names}
    for found in map(values, batches) if bins else ():
        for name in spread:
            # In float64, in which a bin of the narrowest range of float32 numbers has a width.
            counts[name] += np.histogram(found[name].astype(np.float64), bins, ranges[name])[0]
    return {name: ValueHistogram(*ranges[name], counts[name]) for name in names}
