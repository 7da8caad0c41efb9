"""`rbnn-deploy info`."""

import importlib.metadata
import os
import platform
import re
from typing import Any

from rbnn_deploy.cli.output import JsonFile, check_writable, give_result
from rbnn_deploy.errors import UserError
from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.text_layout import paragraph
from rbnn_deploy.version import __version__

PACKAGE = "rbnn-deploy"
DEVELOPMENT = "dev"  # an extra that no user of the package needs
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:.*;\s*extra == [\"']([\w-]+)[\"'])?")
VARIABLES = ("RBNN_KERNEL", "OMP_NUM_THREADS", "PYTHONPATH")


def info(json: JsonFile = None) -> None:
    """Show versions, library, kernel and extras, as a bug report needs them."""
    if json is not None:
        check_writable(json)
    content = describe()
    give_result(_render(content), with_schema("info", content), json)


def describe() -> dict[str, Any]:
    """Describes this installation; never fails, because it is for reports of what does."""
    from rbnn_deploy.benchmarking.processor import arm_features, is_emulated, processor_name
    from rbnn_deploy.runtimes.library import get_library_path, library_info

    required = _requirements()
    library: dict[str, Any] = dict.fromkeys(("path", "version", "kernel", "error"))
    library |= {"kernels": {}, "cpu_features": [], "operators": []}
    try:
        library["path"] = get_library_path()
        found = library_info()
        library |= {
            "version": found["version"],
            "kernel": found["kernel"],
            "kernels": {kernel["name"]: kernel["available"] for kernel in found["kernels"]},
            "cpu_features": [*found["cpu_features"], *arm_features()],
            "operators": sorted(found["operators"]),
        }
    except UserError as error:
        library["error"] = str(error)
    return {
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor_name(),
        "architecture": platform.machine(),
        "emulated": is_emulated(platform.machine()),
        "library": library,
        "packages": {name: _version(name) for name in required[""]},
        "extras": {
            extra: {name: _version(name) for name in names}
            for extra, names in required.items()
            if extra not in ("", DEVELOPMENT)
        },
        "environment": {name: os.environ.get(name) for name in VARIABLES},
    }


def _requirements() -> dict[str, list[str]]:
    """Returns the packages that are required, by extra; those of every installation under ""."""
    found: dict[str, list[str]] = {"": []}
    for line in importlib.metadata.requires(PACKAGE) or []:
        match = REQUIREMENT.match(line)
        if match is not None:
            found.setdefault(match[2] or "", []).append(match[1])
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _render(content: dict[str, Any]) -> str:
    library = content["library"]
    kernels = [
        name if there else f"{name} (not on this processor)" for name, there in library["kernels"].items()
    ]

    def versions(packages: dict[str, str | None]) -> str:
        return ", ".join(f"{name} {version or '(missing)'}" for name, version in packages.items())

    extras = {f"extra {name}": versions(packages) for name, packages in content["extras"].items()}
    lines = {
        PACKAGE: content["version"],
        "Python": content["python"],
        "system": content["system"],
        "processor": f"{content['processor']}, {content['architecture']}"
        + (" (emulated)" if content["emulated"] else ""),
        "library": f"{library['version'] or 'none'} at {library['path'] or '-'}",
        "kernel": f"{library['kernel'] or '-'}, of {', '.join(kernels) or '-'}",
        "features": ", ".join(library["cpu_features"]) or "-",
        "operators": ", ".join(library["operators"]) or "-",
        "packages": versions(content["packages"]),
        **extras,
        "environment": ", ".join(f"{k}={v}" for k, v in content["environment"].items() if v is not None)
        or "-",
    }
    if library["error"] is not None:
        lines["library"] = library["error"]
    return "\n".join(paragraph(f"{name}: {value}", indent="  ") for name, value in lines.items())
