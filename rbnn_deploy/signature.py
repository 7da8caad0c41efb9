"""What a model takes and returns, defined once: name, element type and sizes of each input and output.

The graph of an .onnx file declares them, and nothing else in the file repeats them
(`rbnn_deploy.onnx_graph.signature`). Export, runtimes, comparisons and benchmarks all read this description.
How an image becomes such an input is in `rbnn_deploy.input_image`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.errors import UserError
from rbnn_deploy.text import printable

Array = npt.NDArray[Any]
Inputs = Array | Mapping[str, Array]
Dimension = int | str | None  # a number, a size with a name, an open one

INPUT = "input"  # the name of the only one, where nobody names it
BATCH = "N"  # the name of the first size of every input and output that `export` writes
IMAGE_AXES = {"float32": (BATCH, "C", "H", "W"), "uint8": (BATCH, "H", "W", "C")}  # by element type
INPUT_TYPES = ("float32", "uint8", "int32", "int64", "bool")
OUTPUT_TYPE = "float32"
LONGEST_NAME = 80  # in a message
BATCH_ELEMENTS = 1 << 24  # of all inputs of several samples; 64 MiB of float32


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: In the graph.
        dtype: NumPy's name of the element type, such as "float32"; empty where the graph does not tell it.
        shape: The batch first. Sizes of one name are equal wherever they occur; None is an open size.
            None instead of the tuple where the graph does not tell the number of axes.
    """

    name: str
    dtype: str
    shape: tuple[Dimension, ...] | None

    @property
    def is_images(self) -> bool:
        """Whether it is a batch of images: float32 [N, C, H, W], or pixels, uint8 [N, H, W, C]."""
        axes = IMAGE_AXES.get(self.dtype)
        return axes is not None and self.shape is not None and len(self.shape) == len(axes)

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """The sizes behind the batch; None where one of them is open."""
        behind = self.shape[1:] if self.shape else None
        numbers = tuple(size for size in behind or () if isinstance(size, int))
        return numbers if behind is not None and len(numbers) == len(behind) else None

    def describe(self) -> str:
        """Writes type and sizes, such as "float32 [N, 3, 32, 32]"."""
        if self.shape is None:
            return f"{self.dtype or 'numbers'} of any shape"
        axes = IMAGE_AXES[self.dtype] if self.is_images else (BATCH, *"?" * len(self.shape))
        sizes = [axis if size is None else size for axis, size in zip(axes, self.shape, strict=False)]
        return f"{self.dtype or 'numbers'} [{', '.join(printable(str(size)) for size in sizes)}]"

    def fits(self, x: Any) -> bool:
        """Tells whether x is an array of this type and these sizes."""
        return (
            isinstance(x, np.ndarray)
            and x.dtype == np.dtype(self.dtype)
            and self.shape is not None
            and x.ndim == len(self.shape)
            and all(
                not isinstance(size, int) or size == n for size, n in zip(self.shape, x.shape, strict=True)
            )
        )

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Draws random values: normal ones of deviation 1, bytes, and 0 or 1 where integers may be indices.

        Args:
            rng: Random numbers.
            count: Samples.

        Raises:
            UserError: A size is open.
        """
        if self.sample_shape is None:
            raise UserError(
                f"the input {quoted(self.name)} is {self.describe()}, whose size is open; export the model "
                "with fixed sizes, or give arrays of your own"
            )
        shape = (count, *self.sample_shape)
        if self.dtype == "float32":
            return rng.standard_normal(shape, np.float32)
        return rng.integers(0, 256 if self.dtype == "uint8" else 2, shape).astype(self.dtype)


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in the order of its graph."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def takes_images(self) -> bool:
        """Whether the only input is a batch of images; see `TensorSpec.is_images`."""
        return len(self.inputs) == 1 and self.inputs[0].is_images

    def with_sizes(self, image: tuple[int, ...] | None) -> "Signature":
        """Returns the same with the sizes of an image in place of the open ones of the only input.

        Args:
            image: (C, H, W); None, or for other inputs than images, leaves the sizes open.
        """
        if image is None or len(self.inputs) != 1:
            return self
        (spec,) = self.inputs
        if spec.dtype != "float32" or spec.shape is None or len(spec.shape) != 1 + len(image):
            return self
        sizes = [size if isinstance(size, int) else n for size, n in zip(spec.shape[1:], image, strict=True)]
        return replace(self, inputs=(replace(spec, shape=(spec.shape[0], *sizes)),))

    def describe(self) -> str:
        """Writes it in one line; names are left out where there is one tensor."""
        return f"{_listed(self.inputs)} -> {_listed(self.outputs)}"

    def describe_inputs(self, *, named: bool = False) -> str:
        """Writes the inputs in one line, likewise, or with the name of the only one too."""
        return _listed(self.inputs, named=named)

    def describe_outputs(self) -> str:
        """Writes the outputs in one line, with their names."""
        return _listed(self.outputs, named=True)

    def feeds(self, given: Any) -> dict[str, Array]:
        """Checks what a caller gives to the model.

        Args:
            given: An array where there is one input, or arrays by the inputs' names.

        Returns:
            One array per input, by name, in the graph's order.

        Raises:
            UserError: A name is missing or unknown, an array has another type or shape, or the batches
                differ in size.
        """
        if not isinstance(given, Mapping):
            if len(self.inputs) != 1:
                raise UserError(
                    f"the model takes {_listed(self.inputs)}; give a dict with one array for each"
                )
            given = {self.inputs[0].name: given}
        names = [spec.name for spec in self.inputs]
        if set(names) != set(given):
            wrong = ", ".join(quoted(str(name)) for name in given) or "none"
            raise UserError(f"the model takes {_listed(self.inputs, named=True)}, not inputs called {wrong}")
        sizes: dict[str, tuple[int, str]] = {}
        for spec in self.inputs:
            x = given[spec.name]
            self._check(spec, x)
            for size, n in zip(spec.shape or (), x.shape, strict=True):
                if isinstance(size, str) and size and sizes.setdefault(size, (n, spec.name))[0] != n:
                    first, other = sizes[size]
                    raise UserError(
                        f"the inputs {quoted(other)} and {quoted(spec.name)} must have the same size "
                        f"{printable(size)}, not {first} and {n}"
                    )
        return {name: given[name] for name in names}

    def _check(self, spec: TensorSpec, x: Any) -> None:
        if spec.fits(x):
            return
        one = len(self.inputs) == 1
        wanted = f"{'the model' if one else 'the input ' + quoted(spec.name)} takes {spec.describe()}"
        if not isinstance(x, np.ndarray) or x.dtype != np.dtype(spec.dtype):
            kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            what = "the images" if self.takes_images else "it"
            raise UserError(f"{wanted}, not {kind}; convert {what} to a {spec.dtype} array")
        advice = "resize or reshape the images" if self.takes_images else "reshape it"
        raise UserError(f"{wanted}, not {list(x.shape)}; {advice}")

    def draw(self, rng: np.random.Generator, count: int) -> dict[str, Array]:
        """Draws random inputs; see `TensorSpec.draw`."""
        return {spec.name: spec.draw(rng, count) for spec in self.inputs}

    def batch_size(self, most: int) -> int:
        """Returns how many samples make a batch of bounded memory, at most `most` and at least 1."""
        elements = sum(math.prod(spec.sample_shape or ()) for spec in self.inputs)
        return max(1, min(most, BATCH_ELEMENTS // max(1, elements)))


def count_samples(feeds: Mapping[str, Array]) -> int:
    """Returns the size of the batch of checked inputs."""
    return len(next(iter(feeds.values())))


def batches(feeds: Mapping[str, Array], size: int) -> Iterator[dict[str, Array]]:
    """Splits checked inputs into batches of at most so many samples."""
    for start in range(0, count_samples(feeds), size):
        yield {name: np.ascontiguousarray(x[start : start + size]) for name, x in feeds.items()}


def quoted(name: str) -> str:
    """Returns a name of somebody's file for a message: printable, and of bounded length."""
    text = printable(name)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."


def _listed(specs: Sequence[TensorSpec], *, named: bool = False) -> str:
    if len(specs) == 1 and not named:
        return specs[0].describe()
    return ", ".join(f"{quoted(spec.name)}: {spec.describe()}" for spec in specs) or "nothing"
