"""`inspect --device`."""

import re
from collections.abc import Callable
from pathlib import Path

from rbnn_deploy.models import EMBEDDED_MODEL


def test_the_command(cli: Callable) -> None:
    outcome = cli("inspect", EMBEDDED_MODEL, "--device", "cortex-m4,x86-64")
    assert outcome.code == 0, outcome.err
    assert re.search(r"^cortex-m4 +[\d.]+ kB +[\d.]+ kB +\d+ ms to [\d.]+ s$", outcome.out, re.MULTILINE)
    assert max(map(len, outcome.out.splitlines()[1:])) <= 80  # the first line has the path


def test_a_device_that_is_not_in_the_table(cli: Callable) -> None:
    outcome = cli("inspect", EMBEDDED_MODEL, "--device", "z80")
    assert (outcome.code, outcome.out) == (2, "")
    assert "known are cortex-m3" in outcome.err


def test_a_checkpoint_is_refused(cli: Callable, checkpoint: Path) -> None:
    outcome = cli("inspect", checkpoint, "--device", "x86-64")
    assert outcome.code == 2
    assert "export it" in outcome.err
