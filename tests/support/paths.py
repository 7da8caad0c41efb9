"""Where the repository lies, and beside it the reference implementation's recorded data, if it is there."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REFERENCE = SHARED / "reference"

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference implementation's recorded data (../shared) is not here"
)
