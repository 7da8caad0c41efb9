"""A small network, and checkpoints of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.networks import randomise

from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork, load_checkpoint
from rbnn_deploy.pytorch.networks import build_network

DIGITS = "digits/resnet8_1w1a"


@pytest.fixture(scope="session")
def network() -> torch.nn.Module:
    return randomise(build_network(DIGITS), seed=1).eval()


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., LoadedNetwork]:
    """Returns a function that saves something with torch.save and loads it as a checkpoint."""

    def load(content: Any, arch: str | None = None, **kwargs: Any) -> LoadedNetwork:
        path = tmp_path / "saved.pt"
        torch.save(content, path, **kwargs)
        return load_checkpoint(path, arch)

    return load
