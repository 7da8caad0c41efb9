"""The least that a deployed model must keep of PyTorch's answers, beside the explanation of differences."""

from dataclasses import dataclass

from rbnn_deploy.errors import UserError

DEFAULT_MIN_AGREEMENT, DEFAULT_MAX_ACCURACY_DROP = 0.9, 0.02


@dataclass(frozen=True)
class Gates:
    """Bounds that make a comparison fail.

    With None, the default bound holds for pairs whose differences need no explanation: int8 float layers
    against PyTorch. Where every difference has an explanation, a bound of its own would only count those.

    Attributes:
        min_agreement: Smallest share of samples with the same top-1 class, from 0 to 1. A number holds for
            every pair.
        max_accuracy_drop: How far the accuracy of a runtime may lie below that of PyTorch, or of the first
            runtime where PyTorch takes no part, from 0 to 1. A number holds for every runtime.

    Raises:
        UserError: A bound is not from 0 to 1.
    """

    min_agreement: float | None = None
    max_accuracy_drop: float | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("min-agreement", self.min_agreement),
            ("max-accuracy-drop", self.max_accuracy_drop),
        ):
            if value is not None and not 0 <= value <= 1:
                raise UserError(f"--{name} is a share from 0 to 1, not {value:g}; write 0.02 for 2 %")

    def least_agreement(self, *, asked: bool) -> float | None:
        """Returns the bound for a pair; None for no bound.

        Args:
            asked: Whether every larger difference of the pair has to be explained.
        """
        return DEFAULT_MIN_AGREEMENT if self.min_agreement is None and not asked else self.min_agreement

    def largest_drop(self, *, asked: bool) -> float | None:
        """Returns the bound for a runtime; see `least_agreement`."""
        default = DEFAULT_MAX_ACCURACY_DROP
        return default if self.max_accuracy_drop is None and not asked else self.max_accuracy_drop
