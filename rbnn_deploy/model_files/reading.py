"""From a path to a validated model, the one way in which runtimes, inspect, compare and bench read files."""

import stat
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files.binary_layers import check_binary_layers
from rbnn_deploy.model_files.digest import check_digest
from rbnn_deploy.model_files.errors import InvalidModelError, require_text
from rbnn_deploy.model_files.graphs import GraphChecker
from rbnn_deploy.model_files.quant_layers import check_quant_layers
from rbnn_deploy.onnx_graph import properties
from rbnn_deploy.text import printable

LARGEST_FILE = 2**31 - 1  # bytes; protobuf's limit


@dataclass(frozen=True)
class ModelFile:
    """A validated model.

    Attributes:
        path: Its file.
        content: The file's bytes.
        model: The same, parsed.
        metadata: What the model says about itself; None where it was not exported by rbnn-deploy.
        digest: The SHA-256 that it carries and has (`rbnn_deploy.model_files.digest`); None if it has none.
    """

    path: Path
    content: bytes
    model: onnx.ModelProto
    metadata: ModelMetadata | None
    digest: str | None


def read_model(path: str | Path) -> ModelFile:
    """Reads a model and checks that native code can be given it.

    What is checked: that names are text; that stored tensors have the data that their shapes ask for, in
    this file; that each node's inputs are computed before it and its attributes are as its operator's schema
    says; that functions end, get what they use, and stay in bounds when written out; the binary layers; the
    digest that the model carries.

    Raises:
        UserError: The file cannot be read, is no whole ONNX model, is newer than the installed onnx, or
            breaks one of these rules.
    """
    path = Path(path)
    content = _read(path)
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError):
        raise damaged(path) from None
    if not model.HasField("graph"):  # some texts parse as a message of unknown fields
        raise damaged(path)
    try:
        check_model(model)
        digest = check_digest(model)
    except InvalidModelError as error:
        advice = error.advice or "export or copy it again"
        raise UserError(f"{path} is no valid model: {error}; {advice}") from None
    return ModelFile(path, content, model, ModelMetadata.from_properties(properties(model)), digest)


def check_model(model: onnx.ModelProto) -> None:
    """Checks a parsed model; see `read_model`.

    Raises:
        InvalidModelError: It breaks a rule.
    """
    if model.ir_version > onnx.IR_VERSION:
        raise InvalidModelError(
            f"its IR version {model.ir_version} is newer than the installed onnx {onnx.__version__} reads "
            f"({onnx.IR_VERSION})",
            "update onnx and onnxruntime, or export it for an older version",
        )
    try:
        for key, value in properties(model).items():
            require_text(key, value)
        GraphChecker(model).check()
        check_binary_layers(model.graph)
        check_quant_layers(model.graph)
    except UnicodeDecodeError:  # from protobuf's other implementations
        raise InvalidModelError("it holds names that are no text") from None


def damaged(path: Path) -> UserError:
    """Returns the error about a file that is no whole ONNX model."""
    return UserError(f"{path} is not an ONNX model, or only a part of one; export or copy it again")


def _read(path: Path) -> bytes:
    """Returns a file's bytes.

    Raises:
        UserError: It does not exist, is no file, is empty, too large, or cannot be read.
    """
    shown = printable(str(path))
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise UserError(f"{shown} is a folder, not a model; name an .onnx file")
        if not stat.S_ISREG(found.st_mode):  # reading a pipe may never end
            raise UserError(f"{shown} is no regular file; name an .onnx file")
        if found.st_size == 0:
            raise UserError(f"{shown} is empty; export the model again")
        if found.st_size > LARGEST_FILE:
            raise UserError(f"{shown} is larger than 2 GB, which no ONNX model in one file can be")
        return path.read_bytes()
    except (FileNotFoundError, ValueError):  # a name with a null byte
        raise UserError(
            f"{shown} does not exist; name an .onnx file that `rbnn-deploy export` wrote"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {shown}: {error.strerror}; check its permissions") from None
