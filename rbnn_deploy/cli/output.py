"""Output that several commands share."""

import json
from pathlib import Path
from typing import Any

from rbnn_deploy.files import atomic_write_bytes


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
        UserError: See `rbnn_deploy.files.atomic_write`.
    """
    atomic_write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())
