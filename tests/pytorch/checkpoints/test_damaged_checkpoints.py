"""Damaged checkpoints: each is loaded or refused in one sentence, and nothing else happens."""

import random
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from support.damage import damaged

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint, save_safetensors

COUNT = 80  # per format; all take about 10 seconds


def damaged_pickle(path: Path, rng: random.Random) -> bytes:
    """Damages the pickle in a file of torch.save, and keeps the file's checksums right."""
    target = path.with_suffix(".edited")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, damaged(content, rng) if name.endswith("data.pkl") else content)
    return target.read_bytes()


@pytest.mark.parametrize("form", ["zip", "pickle in a zip", "before PyTorch 1.6", "safetensors"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_checkpoints(form: str, network: torch.nn.Module, tmp_path: Path) -> None:
    path, broken = tmp_path / "c.pt", tmp_path / "broken.pt"
    if form == "safetensors":
        save_safetensors(path, network, "digits/resnet8_1w1a", epoch=1, best_accuracy=1.0)
    else:
        content: dict[str, Any] = {"state_dict": network.state_dict(), "epoch": 3, "mean": [0.5]}
        torch.save(content, path, _use_new_zipfile_serialization=form != "before PyTorch 1.6")
    whole = path.read_bytes()
    ends: Counter[str] = Counter()
    messages: list[str] = []
    for seed in range(COUNT):
        rng = random.Random(seed)
        broken.write_bytes(damaged_pickle(path, rng) if form == "pickle in a zip" else damaged(whole, rng))
        try:
            load_checkpoint(broken)
            ends["loaded"] += 1
        except UserError as error:
            ends["refused"] += 1
            messages.append(str(error))
    assert not [message for message in messages if "\n" in message or "\x1b" in message]
    assert ends["refused"] > COUNT / 20, ends
