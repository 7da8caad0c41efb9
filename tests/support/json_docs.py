"""The tables of docs/json.md, and whether a result has exactly their keys and types."""

import re
from typing import Any

from support.paths import ROOT

TYPES = {
    "text": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "list": list,
    "null": type(None),
}


def documented(schema: str) -> dict[str, list[str]]:
    """Returns the keys of a schema and the types of each.

    Args:
        schema: Its name and version.
    """
    text = (ROOT / "docs" / "json.md").read_text()
    section = re.search(rf"^## `{re.escape(schema)}`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section, f"docs/json.md does not describe {schema}"
    keys = {"schema": ["text"]}
    for names, types in re.findall(r"^\| (`.*?`) \| (.*?) \|", section[1], re.MULTILINE):
        keys |= dict.fromkeys(re.findall(r"`(.*?)`", names), types.split(" or "))
    return keys


def found(value: Any, keys: dict[str, list[str]], path: str = "") -> list[tuple[str, Any]]:
    """Returns every leaf of a result, and every list that has a key of its own."""
    if isinstance(value, dict):
        free = any(key.startswith(f"{path}.*".lstrip(".")) for key in keys)
        names = {name: "*" if free else name for name in value}
        parts = [found(inner, keys, f"{path}.{names[name]}".lstrip(".")) for name, inner in value.items()]
        return [entry for part in parts for entry in part]
    if isinstance(value, list):
        here = [(path, value)] if path in keys else []
        inside = [] if f"{path}[]" not in keys and not any(k.startswith(f"{path}[]") for k in keys) else value
        return here + [entry for item in inside for entry in found(item, keys, f"{path}[]")]
    return [(path, value)]


def assert_documented(content: dict[str, Any], *, absent: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Checks that a result has the keys of docs/json.md, no others, and values of their types.

    Args:
        content: The result, as json.loads returns it.
        absent: Keys that this result does not have, because a list or map is empty.
    """
    keys = documented(content["schema"])
    leaves = found(content, keys)
    assert {path for path, _ in leaves} == keys.keys() - absent
    for path, value in leaves:
        kinds = tuple(TYPES[kind] for kind in keys[path])
        right = isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)
        assert right, f"{path} is {value!r}, not {' or '.join(keys[path])}"
