"""One HTML file of the page's parts."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("page")


def assemble(title: str, facts: Mapping[str, Any], *, comparison: bool) -> bytes:
    """Writes the page as one file, which asks no server for anything.

    Args:
        title: Of the page; any text.
        facts: What the script knows of the model, as JSON.
        comparison: Whether the page can run onnxruntime-web, whose files then lie beside it.
    """
    names = ["model", "images", "page", *(["comparison"] if comparison else [])]
    script = "\n".join(_inline(read(f"{name}.mjs")) for name in names)
    style = read("page.css")
    parts = {
        "POLICY": _policy(script, style, comparison=comparison),
        "TITLE": html.escape(title),
        "STYLE": style,
        "COMPARISON": read("comparison.html") if comparison else "",
        "FACTS": json.dumps(facts).replace("<", "\\u003c"),  # no name can end the script element
        "SCRIPT": script,
    }
    return re.sub(r"@([A-Z]+)@", lambda match: parts[match[1]], read("page.html")).encode()


def read(name: str) -> str:
    """Returns a part of the page."""
    return (PAGE / name).read_text(encoding="utf-8")


def _inline(module: str) -> str:
    """Returns a module as a part of one script: without imports of the others, and without exports."""
    return re.sub(r"^export ", "", re.sub(r"^import .*\n", "", module, flags=re.M), flags=re.M)


def _policy(script: str, style: str, *, comparison: bool) -> str:
    """Allows this script and this style alone, and no connections: an image cannot leave the page."""
    beside = " 'self'" if comparison else ""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}' 'wasm-unsafe-eval'{beside}",
            f"style-src '{_digest(style)}'",
            "img-src blob: data:",
            "worker-src 'self'",  # offline.js
            *(["connect-src 'self'"] if comparison else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
