"""The result of an epoch, and the progress of a training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch; one line of the log.

    Attributes:
        epoch: Epochs done, from 1.
        loss: Mean cross-entropy over the epoch's images.
        train_accuracy: Share of the epoch's augmented images that were classified rightly when trained on.
        test_accuracy: Share of test images, in evaluation mode after the epoch.
        test_top5_accuracy: Share of test images whose class is among the five likeliest; None where there are
            no more than five.
        learning_rate: Of the last step.
        t: Sharpness of the sign's gradient.
        k: Its height factor.
        flipped: See `RotationStatistics`; None for a network without binary layers.
        cosine_before: Likewise.
        cosine_after: Likewise.
        angle_before: Likewise, in degrees.
        angle_after: Likewise, in degrees.
        sine: Likewise.
        images_per_second: Trained on, over all processes, without evaluation.
        seconds: Wall time, evaluation included.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    test_top5_accuracy: float | None
    learning_rate: float
    t: float
    k: float
    flipped: float | None
    cosine_before: float | None
    cosine_after: float | None
    angle_before: float | None
    angle_after: float | None
    sine: float | None
    images_per_second: float
    seconds: float


# These differ between two runs that are the same otherwise.
TIMINGS = ("images_per_second", "seconds")


@dataclass(frozen=True)
class Progress:
    """The progress of a training; reported about once per second.

    Attributes:
        epoch: The present one, from 1.
        epochs: How many there will be.
        step: Steps done in this epoch.
        steps: Steps of an epoch.
        loss: Mean over this epoch's images so far, of the reporting process.
        accuracy: Share of them classified rightly.
        images_per_second: Since the beginning of the epoch, over all processes.
        seconds_left: Until the training ends, if it goes on as fast.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float
