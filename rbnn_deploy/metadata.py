"""What an exported model says about itself, stored in the ONNX file's metadata properties."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

PREFIX = "rbnn_deploy."


@dataclass(frozen=True)
class ModelMetadata:
    """Everything needed to feed images to a deployed model and to name where it came from.

    Attributes:
        architecture: Name of the network, or of the module's class.
        input_shape: (C, H, W) of the model's input.
        num_classes: Number of logits, if known.
        mean: Per-channel mean that is subtracted from pixels scaled to [0, 1].
        std: Per-channel divisor after that.
        resize: Images are resized so that their shorter side has this many pixels, then cropped in the
            centre to the input size; None resizes straight to the input size.
        class_names: Names of the classes in logit order, if known.
        checkpoint_sha256: Digest of the checkpoint file that was exported, if it was one.
        version: Version of rbnn-deploy that wrote the model.
    """

    architecture: str
    input_shape: tuple[int, int, int]
    num_classes: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: int | None = None
    class_names: tuple[str, ...] | None = None
    checkpoint_sha256: str | None = None
    version: str | None = None

    def to_properties(self) -> dict[str, str]:
        """Returns the ONNX metadata properties; unknown values are left out."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return {PREFIX + name: v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> Self | None:
        """Reads the metadata back; None where the model carries none of ours or it is damaged."""
        strings = {"architecture", "checkpoint_sha256", "version"}
        try:
            values: dict[str, Any] = {
                name: text if name in strings else json.loads(text)
                for name in cls.__dataclass_fields__
                if (text := properties.get(PREFIX + name)) is not None
            }
            arguments: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
            return cls(**arguments)
        except (TypeError, ValueError):
            return None
