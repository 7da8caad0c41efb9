"""Files that would take more memory than they explain, or hold other tensors: one sentence each."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint

# torch alone reserves about 3 GiB of addresses; the files below ask for 4 to 512 GB.
ADDRESSES = 6 << 30
EMPTY_STORAGE = b"\x80\x02}."


def zip_of(path: Path, parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(f"archive/{name}", content)
    return path


def edited(path: Path, old: bytes, new: bytes) -> Path:
    """Replaces bytes in the pickle of a file that torch.save wrote."""
    with zipfile.ZipFile(path) as archive:
        parts = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert parts["data.pkl"].count(old) == 1
    parts["data.pkl"] = parts["data.pkl"].replace(old, new)
    return zip_of(path, parts)


def huge_by_stride(path: Path) -> None:
    torch.save({"linear.weight": torch.zeros(1, 1).expand(1 << 37, 1), "linear.bias": torch.zeros(1)}, path)


def huge_by_shape(path: Path) -> None:
    torch.save({"linear.weight": torch.zeros(1, 7777)}, path)
    edited(path, b"K\x01M\x61\x1e\x86", b"J\xff\xff\xff\x7fM\x61\x1e\x86")


def huge_by_storage(path: Path) -> None:
    torch.save({"linear.weight": torch.zeros(7777)}, path)
    with zipfile.ZipFile(path) as archive:
        pickle = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    size = b"M\x61\x1e"
    assert pickle.count(size) == 2
    zip_of(path, {"data.pkl": pickle.replace(size, b"J\xff\xff\xff\x7f"), "data/0": bytes(4 * 7777)})


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", EMPTY_STORAGE)
        with archive.open("archive/data/0", "w", force_zip64=True) as part:
            for _ in range(1024):
                part.write(bytes(1 << 20))


def nested_key(path: Path) -> None:
    zip_of(path, {"data.pkl": b"\x80\x02})" + b"\x85" * 150_000 + b"Ns."}, zipfile.ZIP_DEFLATED)


HOSTILE = [huge_by_stride, huge_by_shape, huge_by_storage, bomb, nested_key]
# Tries each command on each file in one process of bounded memory; importing torch takes most of the time.
PROGRAM = """
import resource, sys
from rbnn_deploy.cli import main
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
for path in sys.argv[3:]:
    for arguments in (["export", path, "-o", sys.argv[2]], ["inspect", path]):
        print("==", *arguments, file=sys.stderr, flush=True)
        try:
            main(arguments)
        except SystemExit as stop:
            print("exit", stop.code, file=sys.stderr, flush=True)
"""


def test_small_files_take_little_memory(tmp_path: Path) -> None:
    target, paths = tmp_path / "model.onnx", [tmp_path / f"{make.__name__}.pt" for make in HOSTILE]
    for make, path in zip(HOSTILE, paths, strict=True):
        make(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, (ADDRESSES, target, *paths))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    trials = done.stderr.split("== ")[1:]
    assert len(trials) == 2 * len(HOSTILE)
    for trial in trials:
        _, message, code = trial.splitlines()  # one sentence each
        assert message.startswith("error: "), trial
        assert "internal error" not in message
        assert code == "exit 2"
    assert not target.exists()


KINDS = {
    "sparse": lambda t: t.to_sparse(),
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "meta": lambda t: t.to("meta"),
    "nested": lambda t: torch.nested.nested_tensor([t[0], t[1]]),
    "float8_e4m3fn": lambda t: t.to(torch.float8_e4m3fn),
    "float8_e5m2": lambda t: t.to(torch.float8_e5m2),
    "bits8": lambda t: t.to(torch.uint8).view(torch.bits8),
    "complex64": lambda t: t.to(torch.complex64),
    "float4_e2m1fn_x2": lambda t: t.to(torch.uint8).view(torch.float4_e2m1fn_x2),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_other_kinds_are_refused(kind, network, loaded):
    state = dict(network.state_dict())
    state["conv1.weight"] = KINDS[kind](state["conv1.weight"])
    with pytest.raises(UserError, match=r"conv1\.weight is no plain tensor of real numbers \(it is "):
        loaded(state)


def test_float8_in_safetensors_is_refused(network, tmp_path):
    state = {**network.state_dict(), "conv1.weight": network.conv1.weight.detach().to(torch.float8_e4m3fn)}
    path = tmp_path / "c.safetensors"
    path.write_bytes(safetensors.torch.save(state))
    with pytest.raises(UserError, match=r"conv1\.weight is no plain tensor of real numbers"):
        load_checkpoint(path)


def test_an_expanded_tensor_is_read(network, loaded):
    state = dict(network.state_dict())
    state["bn1.weight"] = torch.tensor([2.0]).expand_as(state["bn1.weight"])
    assert loaded(state).module.bn1.weight.eq(2).all()


def test_a_changed_byte_of_the_weights_is_noticed(network, tmp_path):
    path = tmp_path / "c.pt"
    torch.save(network.state_dict(), path)
    data = bytearray(path.read_bytes())
    data[data.index(network.conv1.weight.detach().numpy().tobytes()) + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged or incomplete"):
        load_checkpoint(path)


def test_a_file_without_checksums_is_read(network, loaded):
    torch.serialization.set_crc32_options(False)
    try:
        found = loaded(network.state_dict())
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(found.module.conv1.weight, network.conv1.weight)


def test_a_description_cannot_be_changed_once_it_was_checked(network, loaded, tmp_path):
    path = tmp_path / "c.pt"
    torch.save({"linear.weight": torch.zeros(3)}, path)
    # Behind the tensor: a state that would replace its shape, and BUILD.
    edited(path, b"s.", b"}X\x05\x00\x00\x00shapeK\x07\x85sbs.")
    with pytest.raises(UserError, match="damaged or incomplete"):
        load_checkpoint(path)


def test_pipes_are_no_files(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UserError, match="is a pipe or a device"):
        load_checkpoint(path)
