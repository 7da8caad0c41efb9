"""Results of somebody else: read, or refused in one sentence."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rbnn_deploy.errors import UserError
from rbnn_deploy.reporting import read_results
from rbnn_deploy.reporting.page import render

INSPECT: dict[str, Any] = {
    "schema": "rbnn-deploy.inspect/1",
    "title": "m.onnx: net",
    "facts": {"input": "N x 3 x 8 x 8"},
    "layers": [
        {
            "name": "conv",
            "kind": "float",
            "operator": "Conv 3x3",
            "output": None,
            "weights": 27,
            "size": 108,
            "macs": None,
        }
    ],
    "float_size": 108,
    "deployed_size": 108,
    "file_size": 400,
    "binary_macs": 0,
    "float_macs": 0,
    "a key of a later version": [1],
}


def write(folder: Path, content: Any) -> Path:
    path = folder / "result.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_unknown_keys_are_ignored(tmp_path: Path) -> None:
    found = read_results([write(tmp_path, INSPECT)])
    ((name, network),) = found.networks
    assert (name, network.layers[0].operator) == ("result.json", "Conv 3x3")
    assert "conv" in render(found)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "holds no result"),
        ({"schema": "rbnn-deploy.inspect/2"}, "another version"),
        ({"schema": "rbnn-deploy.info/1"}, "is no result that a page shows"),
        ({"schema": "rbnn-deploy.inspect/1"}, "the result.title is missing"),
        ({**INSPECT, "float_size": True}, "the result.float_size is"),
        ({**INSPECT, "float_size": 1e400}, "the result.float_size is"),
        ({**INSPECT, "facts": {"a": 1}}, "the result.facts.a is"),
        ({**INSPECT, "layers": [1]}, r"the result.layers\[0\] is"),
        ({**INSPECT, "binary_macs": 2**64}, "the result.binary_macs is"),
        ({"schema": "rbnn-deploy.sweep/1", "benchmarks": {}}, "the result.benchmarks is"),
    ],
)
def test_what_is_no_result(content: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        read_results([write(tmp_path, content)])


def test_changed_results_are_read_or_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    values = [None, True, -1, 0.5, float("nan"), "\ud800<b>", [], {}, 10**30, [[]], {"a": None}]
    shown, refused = 0, []
    for _ in range(300):
        content = json.loads(json.dumps(INSPECT))
        place = rng.choice([content, content["layers"][0], content["facts"]])
        place[rng.choice(list(place))] = rng.choice(values)
        try:
            found = read_results([write(tmp_path, content)])
        except UserError as error:
            refused.append(str(error))
        else:
            render(found).encode()
            shown += 1
    assert shown
    assert refused
    assert not any("\n" in sentence for sentence in refused)
