"""On Arm64, portable and NEON kernel and NumPy give the bits that x86 gives, and a network its answers."""

from pathlib import Path

import pytest
from aarch64.conftest import Emulate
from aarch64.golden import write_exact_network, write_network, write_operator_cases


@pytest.fixture(scope="session")
def operator_cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    path = tmp_path_factory.mktemp("operator") / "cases.npz"
    return path, write_operator_cases(path)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    folder = tmp_path_factory.mktemp("network")
    return folder, *write_network(folder)


def test_operator_gives_the_bits_of_x86(emulate: Emulate, operator_cases: tuple[Path, int]) -> None:
    path, count = operator_cases
    found = emulate("operator", path)
    assert found["cases"] == count
    assert found["differ"] == {}


def test_network_gives_the_bits_and_answers_of_x86(emulate: Emulate, network: tuple[Path, int, int]) -> None:
    folder, layers, images = network
    found = emulate("network", folder)
    assert (found["layers"], found["images"]) == (layers, images)
    assert found["differ"] == {}
    assert found["top1"] == images


def test_exact_network_gives_the_logits_of_x86(
    emulate: Emulate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("exact")
    images = write_exact_network(folder)
    found = emulate("exact", folder)
    assert (found["images"], found["differ"]) == (images, [])
