"""Where the repository lies, and beside it the reference implementation's recorded data, if it is there."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REFERENCE = SHARED / "reference"
