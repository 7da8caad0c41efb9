"""Facts about an exported model, stored in the ONNX file's metadata properties."""

import json
import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from rbnn_deploy.errors import UserError
from rbnn_deploy.input_image import INPUT_FORMATS, UINT8_NHWC, InputImage
from rbnn_deploy.text import printable

PREFIX = "rbnn_deploy."

LARGEST_SIZE = 65536  # of one side of the input, in pixels, or of its channels
LARGEST_INPUT = 2**26  # elements; 256 MiB of float32
SMALLEST, LARGEST = 1e-30, 1e30  # of means and divisors, in magnitude; float32 holds them all


@dataclass(frozen=True)
class ModelMetadata:
    """Everything needed to feed images to a deployed model and to name where it came from.

    Which inputs and outputs it has is not said here but in the graph (`rbnn_deploy.signature`).

    Attributes:
        architecture: Name of the network, or of the module's class.
        input_shape: See `rbnn_deploy.input_image.InputImage`; None where the model's input is not one image.
        num_classes: Number of logits, if known.
        mean, std, resize: See `rbnn_deploy.input_image.InputImage`.
        class_names: Names of the classes in logit order, if known.
        input_format: "uint8-nhwc" where the model takes pixels, uint8 [N, H, W, C], and normalises them
            itself; None and "float32-nchw" where it takes normalised images, float32 [N, C, H, W].
        checkpoint_sha256: Digest of the checkpoint file that was exported, if it was one.
        version: Version of rbnn-deploy that wrote the model.
    """

    architecture: str
    input_shape: tuple[int, int, int] | None = None
    num_classes: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: int | None = None
    class_names: tuple[str, ...] | None = None
    checkpoint_sha256: str | None = None
    version: str | None = None
    input_format: str | None = None

    @property
    def takes_pixels(self) -> bool:
        """Whether the model takes pixels; see `input_format`."""
        return self.input_format == UINT8_NHWC

    @property
    def image(self) -> InputImage:
        """How an image becomes the model's input.

        Raises:
            UserError: The model takes no image.
        """
        if self.input_shape is None:
            raise UserError(
                f"{printable(self.architecture)} does not take one image as its input; give it arrays, with "
                "rbnn_deploy.load_model(...).run in Python"
            )
        return InputImage(self.input_shape, self.mean, self.std, self.resize)

    def to_properties(self) -> dict[str, str]:
        """Returns the ONNX metadata properties; unknown values are left out."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return {PREFIX + name: v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> Self | None:
        """Reads the metadata back; None where the model carries none of ours or it is damaged."""
        strings = {"architecture", "checkpoint_sha256", "version", "input_format"}
        try:
            values: dict[str, Any] = {
                name: text if name in strings else json.loads(text)
                for name in cls.__dataclass_fields__
                if (text := properties.get(PREFIX + name)) is not None
            }
            arguments: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
            metadata = cls(**arguments)
        except (TypeError, ValueError, RecursionError):  # of JSON in thousands of brackets
            return None
        return None if _problem(metadata) else metadata

    def checked(self) -> Self:
        """Returns metadata that can be written: lists and arrays as tuples, numbers as floats.

        Raises:
            UserError: A value is not what it must be, or two contradict each other.
        """
        metadata = replace(
            self,
            input_shape=_sequence(self.input_shape),
            class_names=_sequence(self.class_names),
            mean=_floats(self.mean),
            std=_floats(self.std),
        )
        names = metadata.class_names or ()
        problem = _problem(metadata)
        if not problem and any(printable(name) != name or not name for name in names):
            problem = "class_names must be names that a terminal can show"
        if not problem and printable(str(self.architecture)) != self.architecture:
            problem = "architecture must be a name that a terminal can show"
        if problem:
            raise UserError(f"the model's metadata cannot be written: {problem}; pass other ModelMetadata")
        return metadata


def is_input_shape(value: Any) -> bool:
    """Tells whether a value is (C, H, W), each size in the range that it must be in."""
    return _is_tuple(value, 3) and all(_is_size(size) for size in value)


def _sequence(values: Any) -> Any:
    """Returns a list or an array as a tuple, and anything else as it is."""
    values = values.tolist() if hasattr(values, "tolist") else values
    return tuple(values) if isinstance(values, list) else values


def _floats(values: Any) -> Any:
    values = _sequence(values)
    return tuple(float(v) if _is_real(v) else v for v in values) if isinstance(values, tuple) else values


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _problem(m: ModelMetadata) -> str:
    """Says in a clause which value is not of the type or in the range that it must be; empty if none."""
    if m.input_shape is None:
        given = [name for name in ("mean", "std", "resize", "input_format") if getattr(m, name) is not None]
        if given:
            return f"{given[0]} is of images, so it needs input_shape"
    elif not is_input_shape(m.input_shape):
        return f"input_shape must be three integers (C, H, W) from 1 to {LARGEST_SIZE}"
    shape = m.input_shape or (1, 1, 1)
    channels = shape[0]
    count = "" if m.num_classes is None else f"{m.num_classes} "
    rules = (
        (math.prod(shape) <= LARGEST_INPUT, f"input_shape has more than {LARGEST_INPUT} elements"),
        (
            m.num_classes is None or (_is_int(m.num_classes) and m.num_classes >= 1),
            "num_classes must be an integer from 1 up",
        ),
        (
            m.resize is None or _is_size(m.resize),
            f"resize must be an integer from 1 to {LARGEST_SIZE}",
        ),
        *(
            (
                values is None or _is_numbers(values, channels),
                f"{name} must be finite numbers, one for each of the {channels} channels",
            )
            for name, values in (("mean", m.mean), ("std", m.std))
        ),
        (
            not _is_numbers(m.std, channels) or all(v > 0 for v in m.std or ()),
            "std must be above 0, because images are divided by it",
        ),
        (
            m.input_format is None or m.input_format in INPUT_FORMATS,
            f"input_format must be one of {', '.join(INPUT_FORMATS)}",
        ),
        (
            m.class_names is None or _is_names(m.class_names, m.num_classes),
            f"class_names must be {count}strings, one for each class",
        ),
    )
    return next((clause for holds, clause in rules if not holds), "")


def _is_tuple(value: Any, length: int | None) -> bool:
    return isinstance(value, tuple) and length in (None, len(value))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return _is_int(value) and 1 <= value <= LARGEST_SIZE


def _is_numbers(values: Any, length: int) -> bool:
    # Pixels are float32, so a number must be finite in it; a std that becomes 0 there would divide by 0.
    return _is_tuple(values, length) and all(
        isinstance(v, float | int) and not isinstance(v, bool) and (v == 0 or SMALLEST <= abs(v) <= LARGEST)
        for v in values
    )


def _is_names(values: Any, length: int | None) -> bool:
    return _is_tuple(values, length) and len(values) > 0 and all(isinstance(name, str) for name in values)
