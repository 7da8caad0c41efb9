"""Models in ONNX Runtime: with the operator library ("ort"), or the model's functions ("ort-portable")."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from rbnn_deploy.errors import UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import producers, signature
from rbnn_deploy.operators.domain import DOMAIN
from rbnn_deploy.runtimes.base import Runtime, check_signature
from rbnn_deploy.runtimes.library import get_library_path, library_info
from rbnn_deploy.signature import Array

# ONNX Runtime's errors have no common base of their own.
ERRORS = tuple(
    value for value in vars(ort_errors).values() if isinstance(value, type) and issubclass(value, Exception)
)
FATAL_ONLY = 4
LIBRARY_SPEAKS = "rbnn: "  # begins a refusal of the library's own (runtimes/native/ort/register.cc)


def create_session(
    model: str | Path | bytes, *, library: bool, threads: int | None = None, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """Creates a CPU session with all graph optimisations: the one way in which this package makes sessions.

    Args:
        model: A file, or a serialised model.
        library: Whether the operator library is registered.
        threads: Threads that compute one operator; None leaves the choice to ONNX Runtime.
        profile: Prefix of the file that a profile is written to; None for no profile.

    Raises:
        UserError: The library is missing or cannot be registered.
        Exception: ONNX Runtime's own errors about the model.
    """
    # Registering a library twice on the same options is an error, so each session has its own.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = FATAL_ONLY  # every error is raised too; once is enough
    if threads is not None:
        options.intra_op_num_threads = threads
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if library:
        path = str(get_library_path())
        try:
            options.register_custom_ops_library(path)
        except ERRORS as error:
            text = reason(error)
            if text.startswith(LIBRARY_SPEAKS):  # of an ONNX Runtime that is too old, and of the way out
                raise UserError(
                    text.removeprefix(LIBRARY_SPEAKS) + ", or use --runtime ort-portable"
                ) from error
            raise UserError(
                f"ONNX Runtime cannot load the operator library {path} ({text}); build it again"
            ) from error
    source = model if isinstance(model, bytes) else str(model)
    # Without its fallback: that prints to standard output, and would only try the same provider again.
    return onnxruntime.InferenceSession(
        source, options, providers=["CPUExecutionProvider"], enable_fallback=False
    )


def reason(error: Exception) -> str:
    """Returns the sentence of an ONNX Runtime error, on one line and without its code."""
    text = " ".join(str(error).split())
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)


class OrtRuntime(Runtime):
    """A model in ONNX Runtime.

    Args:
        path: The .onnx file.
        library: True runs binary layers by the library's kernels, False by the functions in the model.
        threads: Threads that compute one operator; None leaves the choice to ONNX Runtime.

    Attributes:
        session: The ONNX Runtime session that `run` uses.

    Raises:
        UserError: The file is missing, damaged, or or takes inputs of other types, or the library is missing.
    """

    def __init__(self, path: str | Path, *, library: bool = True, threads: int | None = None) -> None:
        self.name = "ort" if library else "ort-portable"
        self.path = Path(path)
        self._options: dict[str, Any] = {"library": library, "threads": threads}
        file = read_model(self.path)
        content, self.metadata = file.content, file.metadata
        self.signature = signature(file.model.graph)
        check_signature(self.path, self.signature)
        del file  # the parsed model's memory, before the session needs some
        with self._errors("load"):
            # The very bytes that were checked, not a file that may change in between.
            self.session = create_session(content, **self._options)
        self._traced: tuple[frozenset[str], onnxruntime.InferenceSession] | None = None

    @property
    def _how(self) -> str:
        threads = self._options["threads"]
        by = "functions of the model"
        if self._options["library"]:
            by = "operator library"
            with suppress(UserError):  # RBNN_KERNEL may have become one that is refused
                by = f"kernel {library_info()['kernel']}"
        return by + ("" if threads is None else f", {threads} thread{'s' if threads > 1 else ''}")

    def _run(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        with self._errors("run"):
            session = self._session_with(names)
            return dict(zip(names, session.run(list(names), dict(feeds)), strict=True))

    def _session_with(self, names: Sequence[str]) -> onnxruntime.InferenceSession:
        """Returns a session that gives the named values as outputs; the latest such session is kept."""
        outputs = {output.name for output in self.session.get_outputs()}
        added = frozenset(names) - outputs
        if not added:
            return self.session
        if self._traced is None or self._traced[0] != added:
            model = read_model(self.path).model
            missing = added - producers(model.graph).keys()
            if missing:
                raise UserError(
                    f"{self.path} has no tensor named {sorted(missing)[0]}; look at its graph in Netron"
                )
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(added))
            self._traced = (added, create_session(model.SerializeToString(), **self._options))
        return self._traced[1]

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        """Turns ONNX Runtime's errors about the model into one sentence."""
        try:
            yield
        except UnicodeDecodeError as error:  # ONNX Runtime quotes names of the file as they are
            raise UserError(
                f"ONNX Runtime cannot {verb} {self.path}, which holds names that are no text; export it again"
            ) from error
        except ERRORS as error:
            text = reason(error)
            if f"{DOMAIN}:" in text and "not a registered function" in text and self.name == "ort-portable":
                raise UserError(
                    f"{self.path} carries no functions for its {DOMAIN} nodes; run it with --runtime ort"
                ) from error
            if "qonnx.custom_op" in text or "onnx.brevitas" in text:
                raise UserError(
                    f"{self.path} is a QONNX model; make a deployed one of it with `rbnn-deploy export`"
                ) from error
            advice = "; update onnxruntime, or export it for an older version" if "IR version" in text else ""
            raise UserError(f"ONNX Runtime cannot {verb} {self.path}: {text}{advice}") from error
