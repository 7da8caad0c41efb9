"""Randomness of all tests: fixed, so that a failure comes again."""

import random
import sys

import numpy as np
import pytest
from hypothesis import settings

# Examples depend on the test's code alone. The first session of a process starts slowly: no example is timed.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seeds the global generators before a test's fixtures, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 -- torch's loaders and scikit-learn may draw from it
    if torch := sys.modules.get("torch"):  # absent where the tests of the device side run alone
        torch.manual_seed(0)
