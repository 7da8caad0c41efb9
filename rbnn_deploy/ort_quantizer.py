"""Static quantisation by ONNX Runtime's own tools, set up for the processor at hand.

onnx, onnxruntime and NumPy only: a device can quantise too.
"""

import contextlib
import logging
import platform
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx

from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.signature import Array, Inputs, Signature, count_samples

X86 = platform.machine() in ("x86_64", "AMD64")


class _Batches:
    """Feeds batches to ONNX Runtime's calibration, which pulls them one by one."""

    def __init__(self, takes: Signature, batches: Iterable[Inputs]) -> None:
        self._takes, self._batches = takes, iter(batches)
        self.count = 0

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        feeds = self._takes.feeds(batch)
        self.count += count_samples(feeds)
        return feeds


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the quantiser from advising a preparation that the graph has already had."""
    import onnxruntime  # noqa: PLC0415

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(4)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(2)
        logger.setLevel(level)


def has_int8_dot_product() -> bool:
    """Tells whether the processor sums four products of bytes in 32 bits (VNNI), by what Linux says.

    Without it ONNX Runtime sums pairs in 16 bits, which saturate unless weights keep to 7 bits.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags


def quantize_static(model: onnx.ModelProto, batches: Iterable[Inputs], **options: Any) -> onnx.ModelProto:
    """Quantises a model with ONNX Runtime's static quantiser: QDQ, int8 weights per output channel.

    Activations are unsigned on x86, whose fast multiplication takes unsigned times signed bytes, and signed
    elsewhere, where signed times signed is the fast one.

    Args:
        model: A float32 model; it is not changed. Its functions and metadata survive.
        batches: Samples that show the range of every activation: images, float32 [n, C, H, W] each, or arrays
            by the names of the inputs.
        options: Further arguments of `onnxruntime.quantization.quantize_static`; they win.

    Returns:
        The quantised model, with the opsets and the IR version of the float one.

    Raises:
        UserError: There is no image.
    """
    from onnxruntime import quantization  # noqa: PLC0415 - takes longer to import than a model to run

    arguments: dict[str, Any] = {
        "quant_format": quantization.QuantFormat.QDQ,
        "per_channel": True,
        "reduce_range": X86 and not has_int8_dot_product(),
        "activation_type": quantization.QuantType.QUInt8 if X86 else quantization.QuantType.QInt8,
        "weight_type": quantization.QuantType.QInt8,
        **options,
    }
    samples = _Batches(signature(model.graph), batches)
    source = onnx.ModelProto()
    source.CopyFrom(model)  # the quantiser changes what it is given
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "int8.onnx"
        try:
            quantization.quantize_static(source, target, samples, **arguments)
        except ValueError:
            if samples.count:
                raise
        if not samples.count:
            raise UserError("there is no image to calibrate with; name a folder that holds some")
        result = onnx.load(target)
    result.ir_version = model.ir_version
    del result.metadata_props[:]
    result.metadata_props.extend(model.metadata_props)
    read = {name for node in result.graph.node for name in node.input}
    kept = [tensor for tensor in result.graph.initializer if tensor.name in read]
    del result.graph.initializer[:]
    result.graph.initializer.extend(kept)
    onnx.checker.check_model(result, full_check=True)
    return result
