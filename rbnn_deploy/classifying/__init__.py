"""Classes of images by one runtime, and its accuracy on a data set."""

from rbnn_deploy.classifying.classes import ScoredClass, class_names, read_class_names, top_classes
from rbnn_deploy.classifying.evaluate import EvaluationReport, evaluate
from rbnn_deploy.classifying.images import ImagesForModel, images_for
from rbnn_deploy.classifying.inputs import prepared

__all__ = [
    "EvaluationReport",
    "ImagesForModel",
    "ScoredClass",
    "class_names",
    "evaluate",
    "images_for",
    "prepared",
    "read_class_names",
    "top_classes",
]
