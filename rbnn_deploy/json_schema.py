"""The name and version of a result's JSON, which docs/json.md describes key by key."""

from typing import Any

# One number for all results. It rises when a key goes or changes its meaning; a new key leaves it as it is.
VERSION = 1


def schema_name(name: str) -> str:
    """Returns the schema's name and version for a kind of result, such as "bench"."""
    return f"rbnn-deploy.{name}/{VERSION}"


def with_schema(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Returns a result with its schema as the first key.

    Args:
        name: The kind of result, such as "bench".
        content: Values for json.dumps.
    """
    return {"schema": schema_name(name), **content}
