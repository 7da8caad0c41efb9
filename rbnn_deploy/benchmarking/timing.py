"""Timing in rounds, so that whatever else the machine does falls on everything alike."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

FEWEST_ROUNDS, MOST_ROUNDS = 10, 300
SECONDS = 20.0  # for all rounds, where the caller does not say how many


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
    def median(self) -> float:
        """The median in milliseconds."""
        return self.percentile(50)


def choose_rounds(seconds_per_round: float) -> int:
    """Returns how many rounds fit into SECONDS, within limits."""
    return int(min(MOST_ROUNDS, max(FEWEST_ROUNDS, SECONDS / max(seconds_per_round, 1e-6))))


def time_in_rounds(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int | None,
    each_round: Callable[[], None] = lambda: None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    settle: float = 0.0,
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

    Returns:
        One time a round of each candidate.
    """
    for _ in range(2):  # the first runs allocate; the second tells how long a round takes
        begin = time.perf_counter()
        for run in candidates.values():
            run()
        once = time.perf_counter() - begin
    total = choose_rounds(2 * once + settle * len(candidates)) if rounds is None else rounds
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
