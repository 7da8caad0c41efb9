"""Labelled images and their preprocessing, without torch: a device needs this package too."""

from rbnn_deploy.data.datasets import load_test_images, load_train_images
from rbnn_deploy.data.image_file import load_image
from rbnn_deploy.data.labelled import LabelledImages
from rbnn_deploy.data.preprocessing import normalise, preprocess, preprocessing_of

__all__ = [
    "LabelledImages",
    "load_image",
    "load_test_images",
    "load_train_images",
    "normalise",
    "preprocess",
    "preprocessing_of",
]
