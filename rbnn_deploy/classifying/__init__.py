"""Classes of images by one runtime, and its accuracy on a data set."""

from rbnn_deploy.classifying.evaluate import EvaluationReport, evaluate
from rbnn_deploy.classifying.images import ImagesForModel, images_for

__all__ = [
    "EvaluationReport",
    "ImagesForModel",
    "evaluate",
    "images_for",
]
