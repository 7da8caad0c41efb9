"""Whether a stored tensor holds as many elements as its shape says."""

import math

import onnx
from onnx import TensorProto, helper

from rbnn_deploy.model_files.errors import InvalidModelError, quoted, require_text

# Elements of these types share bytes: how many of them one byte holds.
PER_BYTE = {
    getattr(TensorProto, name): count
    for name, count in (("UINT4", 2), ("INT4", 2), ("FLOAT4E2M1", 2), ("UINT2", 4), ("INT2", 4))
    if hasattr(TensorProto, name)  # the oldest onnx that we run with knows fewer
}
ELEMENT_TYPES = frozenset(TensorProto.DataType.values())
COMPLEX = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)  # two numbers each
FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def check_tensor(tensor: onnx.TensorProto) -> None:
    """Checks type, shape and amount of data of a tensor, without a copy of the data.

    Raises:
        InvalidModelError: They do not fit together, or the data lie in another file.
    """
    require_text(tensor.name)
    try:
        _check(tensor)
    except InvalidModelError as error:
        raise InvalidModelError(f"tensor {quoted(tensor.name)} {error}") from None


def _check(tensor: onnx.TensorProto) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data):
        raise InvalidModelError("lies in another file, which a deployed model does not have")
    if tensor.HasField("segment"):
        raise InvalidModelError("is stored in segments")
    if tensor.data_type not in ELEMENT_TYPES or not tensor.data_type:
        raise InvalidModelError(f"has the unknown element type {tensor.data_type}")
    if any(size < 0 for size in tensor.dims):
        raise InvalidModelError("has a negative size")
    count = math.prod(tensor.dims)
    own = helper.tensor_dtype_to_field(tensor.data_type)
    stored = [name for name in FIELDS if len(getattr(tensor, name))]
    packed = PER_BYTE.get(tensor.data_type, 1)
    if tensor.HasField("raw_data"):
        if stored or tensor.data_type == TensorProto.STRING:
            raise InvalidModelError("holds its data twice, or text as bytes")
        width = 1 if packed > 1 else helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        have, want = len(tensor.raw_data), -(-count // packed) * width
    else:
        if any(name != own for name in stored):
            raise InvalidModelError("holds data of another element type")
        have = len(getattr(tensor, own))
        want = -(-count // packed) * (2 if tensor.data_type in COMPLEX else 1)
    if have != want:
        raise InvalidModelError(f"holds {have} bytes or elements where its shape asks for {want}")
