"""A runtime on another host, which a comparison treats like one here: it asks it for any value of the graph.

    python -m rbnn_deploy.comparing.elsewhere MODEL RUNTIME

is the other end: it answers messages (`rbnn_deploy.remote.messages`) on its standard input and output.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rbnn_deploy.errors import UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.remote import RemoteHost
from rbnn_deploy.remote.messages import read_message, write_message
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.runtimes.base import Runtime
from rbnn_deploy.signature import Array

MODEL = "model.onnx"


class RemoteRuntime(Runtime):
    """A model that runs on another host; see `open_there`.

    Args:
        path: The model's file here.
        name: Of the runtime and its host.
        answers: What the other side writes.
        questions: What it reads.
    """

    def __init__(self, path: Path, name: str, answers: BinaryIO, questions: BinaryIO) -> None:
        file = read_model(path)
        self.path, self.name, self.metadata = path, name, file.metadata
        self.signature = signature(file.model.graph)
        self._answers, self._questions = answers, questions

    def _run(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        try:
            write_message(self._questions, {"names": list(names)}, feeds)
        except BrokenPipeError:
            raise UserError(f"{self.name} ended, as it says above") from None
        return self.read()

    def read(self) -> dict[str, Array]:
        """Reads an answer.

        Raises:
            UserError: The other side refused, or ended.
        """
        answer = read_message(self._answers)
        if answer is None:
            raise UserError(f"{self.name} ended, as it says above")
        content, arrays = answer
        if "error" in content:
            raise UserError(f"{self.name}: {content['error']}")
        return arrays


@contextmanager
def open_there(path: str | Path, host: RemoteHost, python: str, runtime: str) -> Iterator[RemoteRuntime]:
    """Loads a model in a runtime on another host, for as long as the context lasts.

    Args:
        path: The model's file here.
        host: The host.
        python: A Python there that has rbnn-deploy; see `rbnn_deploy.remote.installed_python`.
        runtime: See `load_model`.

    Raises:
        UserError: The host cannot be reached, or cannot load the model.
    """
    path = Path(path)
    command = [python, "-m", "rbnn_deploy.comparing.elsewhere", MODEL, runtime]
    with host.talk(command, sends={MODEL: path}) as (answers, questions):
        loaded = RemoteRuntime(path, f"{runtime} on {host.name}", answers, questions)
        loaded.read()
        yield loaded


def answer(path: str, runtime: str, questions: BinaryIO, answers: BinaryIO) -> None:
    """Loads a model, says so, and answers questions until they end."""
    try:
        loaded = load_model(path, runtime, 1)
    except UserError as error:
        write_message(answers, {"error": str(error)}, {})
        return
    write_message(answers, {}, {})
    while (question := read_message(questions)) is not None:
        content, feeds = question
        try:
            found = loaded.run_with(feeds, [str(name) for name in content["names"]])
        except UserError as error:
            write_message(answers, {"error": str(error)}, {})
        else:
            write_message(answers, {}, found)


if __name__ == "__main__":
    # Whatever else writes to standard output must not stand between messages.
    with os.fdopen(os.dup(1), "wb") as stream:
        os.dup2(2, 1)
        answer(sys.argv[1], sys.argv[2], sys.stdin.buffer, stream)
