"""`rbnn-deploy library`."""

from rbnn_deploy.cli.output import JsonFile, give_result
from rbnn_deploy.json_schema import with_schema


def library(json: JsonFile = None) -> None:
    """Print the path of the operator library, for programs that register it with ONNX Runtime themselves."""
    from rbnn_deploy.runtimes.library import get_library_path

    path = get_library_path()
    give_result(path, with_schema("library", {"path": path}), json)
