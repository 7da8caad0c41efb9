"""Timing in rounds, so that whatever else the machine does falls on everything alike."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FEWEST_ROUNDS, MOST_ROUNDS = 10, 300
MOST_ROUNDS_ASKED = 100_000  # for a duration that the caller asks for; bounds the memory of the profile
WARM_UP_RUNS = 2
SECONDS = 20.0  # for all rounds, where the caller does not say how many


def trimmed_mean(values: npt.ArrayLike) -> float:
    """Returns the mean of the middle 80 %, or of all where there are fewer than ten.

    A profiler's clock ticks in microseconds, so the median of a short layer is one of a few whole numbers. A
    mean is not; without its ends it is as little disturbed by other programs as a median.
    """
    ordered = np.sort(np.asarray(values, np.float64).ravel())
    cut = len(ordered) // 10
    return float(ordered[cut : len(ordered) - cut].mean())


@dataclass(frozen=True)
class Timing:
    """Times of one candidate.

    Attributes:
        milliseconds: Of each round.
    """

    milliseconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """Returns a percentile in milliseconds."""
        return float(np.percentile(self.milliseconds, percent))

    @property
    def mean(self) -> float:
        """The trimmed mean in milliseconds."""
        return trimmed_mean(self.milliseconds)

    @property
    def median(self) -> float:
        """The median in milliseconds."""
        return self.percentile(50)


def choose_rounds(seconds_per_round: float, duration: float | None = None) -> int:
    """Returns how many rounds fit into a duration; without one, into SECONDS and at most MOST_ROUNDS."""
    most = MOST_ROUNDS if duration is None else MOST_ROUNDS_ASKED
    seconds = SECONDS if duration is None else duration
    return int(min(most, max(FEWEST_ROUNDS, seconds / max(seconds_per_round, 1e-6))))


def time_in_rounds(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int | None,
    each_round: Callable[[], None] = lambda: None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    settle: float = 0.0,
    warmup: int = WARM_UP_RUNS,
    duration: float | None = None,
) -> dict[str, Timing]:
    """Times candidates in rounds A B C, A B C, ...

    In each round a candidate runs twice and the second run is timed: the caches are then as in a program that
    does nothing else, not as the candidate before has left them.

    Args:
        candidates: The functions to time, by name.
        rounds: How many; None for as many as fit into SECONDS.
        each_round: Called once in each round, not timed.
        advance: Told how many rounds of how many are done.
        settle: Seconds to wait before each candidate, so that the threads of the one before, which spin for a
            while after a run, leave the cores.
        warmup: Runs of each candidate before the rounds, at least one.
        duration: Seconds that the rounds are to take, where `rounds` is None; None for SECONDS.

    Returns:
        One time a round of each candidate.
    """
    for _ in range(warmup):  # the first runs allocate; the last tells how long a round takes
        begin = time.perf_counter()
        for run in candidates.values():
            run()
        once = time.perf_counter() - begin
    total = choose_rounds(2 * once + settle * len(candidates), duration) if rounds is None else rounds
    times: dict[str, list[float]] = {name: [] for name in candidates}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for done in range(total):
            for name, run in candidates.items():
                time.sleep(settle)
                run()
                begin = time.perf_counter()
                run()
                times[name].append(1e3 * (time.perf_counter() - begin))
            each_round()
            advance(done + 1, total)
    finally:
        if collecting:
            gc.enable()
    return {name: Timing(tuple(values)) for name, values in times.items()}
