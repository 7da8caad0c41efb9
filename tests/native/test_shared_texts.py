"""Code that operators share names none of them: the adapter puts the name before a sentence."""

import re
from pathlib import Path

from rbnn_deploy.operators import OPERATORS

NATIVE = Path(__file__).parents[2] / "runtimes" / "native"
# An `#include` names a file in quotes, and comments may name anything.
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def literals(text: str) -> list[str]:
    lines = [re.sub(r"//.*", "", line) for line in text.splitlines() if not line.startswith("#include")]
    return [literal for line in lines for literal in STRING.findall(line)]


def test_no_sentence_names_an_operator() -> None:
    files = [path for path in NATIVE.rglob("*") if path.suffix in {".cc", ".h", ".inc"}]
    found = {
        (str(path.relative_to(NATIVE)), literal)
        for path in files
        for literal in literals(path.read_text())
        if any(name in literal for name in OPERATORS)
    }
    # The one table that gives operators their names.
    assert found == {("ort/operators.inc", f'"{name}"') for name in OPERATORS}


def test_a_sentence_that_names_one_is_found() -> None:
    text = '#include "a/BinaryConv2d.h"\nrefuse("BinaryConv2d: no");  // "BinaryConv2d"\n'
    assert literals(text) == ['"BinaryConv2d: no"']
