"""A user's own network by name: built where the name is right, refused in one sentence where it is not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.networks.own import build_own_network

SOURCE = """
from torch import nn

class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 3)

class Builders:
    build = staticmethod(Net)

ready = Net()
number = 3

def build():
    return Net()

def fails():
    raise ValueError("no weights\\nhere")

def gives_a_list():
    return [Net()]

def needs(classes):
    return Net()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Makes a package in a folder that becomes the current one; gives its name."""
    name = "rbnn_users_package"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "nets.py").write_text(SOURCE)
    (tmp_path / name / "broken.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    yield name
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


@pytest.mark.parametrize("attribute", ["build", "Net", "ready", "Builders.build"])
def test_a_class_a_function_or_a_network_is_found_in_the_current_folder(package: str, attribute: str) -> None:
    network = build_own_network(f"{package}.nets:{attribute}")
    assert isinstance(network, nn.Linear)
    assert network.weight.shape == (3, 2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{}.nets", "names no network; write package.module:name, such as"),
        ("{}/nets.py:build", "write package.module:name, without .py and slashes"),
        ("{}.nets:", "names no network"),
        (":build", "names no network"),
        ("{}.nets:absent", "nets has no absent; name a class or function"),
        ("{}.nets:number", "nets:number gives a int; name what builds a torch.nn.Module"),
        ("{}.nets:gives_a_list", "gives a list"),
        ("{}.nets:fails", r"nets:fails failed with ValueError \(no weights\); mend it"),
        ("{}.nets:needs", "failed with TypeError .*classes"),
        ("{}.absent:build", "failed with ModuleNotFoundError .*folder that its package is in"),
        ("{}.broken:build", "failed with ModuleNotFoundError .*a_package_that_nobody_has"),
    ],
)
def test_another_name_is_refused_in_one_sentence(package: str, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        build_own_network(name.format(package))
    assert "\n" not in str(caught.value)
