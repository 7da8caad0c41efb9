"""The test images of a data set, for one deployed model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rbnn_deploy.data import LabelledImages, load_test_images
from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files import read_model


@dataclass(frozen=True)
class ImagesForModel:
    """Images that a model may be tested with.

    Attributes:
        metadata: The model's; it says how images become inputs.
        images: The images.
        labels: int64 [n], positions of the logits; None if it is not known which of the model's classes the
            data set's are, or if the model has several outputs.
        doubt: Why there are no labels, in a sentence without a full stop; None if there are.
    """

    metadata: ModelMetadata
    images: LabelledImages
    labels: npt.NDArray[np.int64] | None
    doubt: str | None


def images_for(model: str | Path, source: str | Path, limit: int | None = None) -> ImagesForModel:
    """Loads the test images of a data set and finds out which classes of a model theirs are.

    Args:
        model: The deployed model.
        source: See `rbnn_deploy.data.load_test_images`.
        limit: How many images; None for all.

    Raises:
        UserError: The model has no metadata or fewer classes, or the images cannot be loaded.
    """
    file = read_model(model)
    metadata = file.metadata
    if metadata is None:
        raise UserError(f"{model} does not say how images become its input; use --random")
    images = load_test_images(source, limit, metadata.class_names)
    if len(file.model.graph.output) > 1:
        doubt = f"{model} has several outputs, and labels are the classes of a single one"
        return ImagesForModel(metadata, images, None, doubt)
    own, theirs = metadata.num_classes, len(images.class_names)
    if own is not None and theirs > own:
        raise UserError(
            f"{source} has {theirs} classes and the model {own}; use the data set that it was trained on"
        )
    if metadata.class_names is None and own not in (None, theirs):
        doubt = f"{source} has {theirs} classes, the model has {own}, and it does not name them"
        return ImagesForModel(metadata, images, None, doubt)
    return ImagesForModel(metadata, images, images.labels, None)
