"""What an epoch came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """What one epoch came to; one line of the log.

    Attributes:
        epoch: Epochs done, from 1.
        loss: Mean cross-entropy over the epoch's steps.
        train_accuracy: Share of the epoch's augmented images that were classified rightly when trained on.
        test_accuracy: Share of test images, in evaluation mode after the epoch.
        learning_rate: Of the last step.
        t: Sharpness of the sign's gradient.
        flipped: See `RotationStatistics`; None for a network without binary layers.
        cosine: Likewise.
        seconds: Wall time, evaluation included.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    learning_rate: float
    t: float
    flipped: float | None
    cosine: float | None
    seconds: float
