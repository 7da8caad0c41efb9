"""Two processes train the network that one does."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
import support.parallel as support_parallel
import support.training as support_training
import torch
from support.paths import ROOT
from support.training import SHORT, stripes_data

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training import TrainingOptions
from rbnn_deploy.pytorch.training.data.feeds import open_feed
from rbnn_deploy.pytorch.training.parallel import Processes, process_group, synchronised_batch_norm
from rbnn_deploy.pytorch.training.run.results import TIMINGS

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch has no Gloo here")


def launch(*arguments):
    """Starts two processes as torchrun does, but faster; returns how they ended, and their messages."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    shared["PYTHONPATH"] = str(ROOT / "tests")  # the scripts import `support`, as pytest lets tests do
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    try:
        messages = "\n".join(process.communicate(timeout=240)[1] for process in processes)
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], messages


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("parallel") / "results.pt"
    codes, messages = launch(support_parallel.__file__, out)
    assert codes == [0, 0], messages
    return torch.load(out, weights_only=True)


def test_half_the_batch_each_gives_the_same_gradients(results):
    assert results["world_size"] == 2
    shared, alone = results["shared"], results["alone"]
    assert shared.keys() == alone.keys()
    assert int(shared["right"]) == int(alone["right"])
    for name, expected in alone.items():
        # The same float32 terms, added in another order: errors are relative to the largest gradient.
        torch.testing.assert_close(
            shared[name], expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()), msg=name
        )


def test_rotations_are_the_main_processes(results):
    before, after = results["rotations"]
    assert len(after) == 12
    assert any(not torch.equal(*values) for values in before.values())
    for name, values in after.items():
        assert torch.equal(*values), name
        assert not torch.equal(values[0], before[name][0]), name


def test_losses_are_weighted_by_images(results):
    logged, expected = results["losses"]
    assert logged == pytest.approx(expected, rel=1e-6)  # float32 sums in another order


def test_what_would_hang_is_refused_by_all(results):
    assert len(results["unequal"]) == len(results["unused"]) == 2
    for message in results["unequal"]:
        assert message.startswith(
            "the processes have 4, 5 batches an epoch; give their loaders the same number"
        )
    for message in results["unused"]:
        assert message.startswith("the loss does not depend on unused.weight, unused.bias")


def test_no_thread_outlives_the_group(results):
    during, after = results["threads"]
    if during is None:
        pytest.skip("this system does not list the threads of a process in /proc")
    assert during > 0
    assert after == 0  # one that still needs the GIL would hang the process, or end it by an abort


def test_processes_that_torchrun_did_not_start(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="start them with torchrun"), process_group(CPU):
        pass
    monkeypatch.setenv("WORLD_SIZE", "")
    with process_group(CPU) as processes:
        assert processes == Processes()


@pytest.mark.parametrize("world_size", [2, 4])
def test_the_processes_see_the_images_that_one_sees(world_size):
    def batches(processes):
        return list(open_feed(stripes_data(), SHORT, TrainingOptions(), processes, CPU).train(3, 7))

    whole = batches(Processes())
    parts = [batches(Processes(rank, world_size)) for rank in range(world_size)]
    assert len(whole) == 3
    for step, (x, labels) in enumerate(whole):
        assert torch.equal(torch.cat([part[step][0] for part in parts]), x)
        assert torch.equal(torch.cat([part[step][1] for part in parts]), labels)


@pytest.mark.parametrize("world_size", [2, 4, 8])
def test_every_test_image_is_in_one_share(world_size):
    data = stripes_data()

    def images(processes):
        return [x for x, _ in open_feed(data, SHORT, TrainingOptions(), processes, CPU).test()]

    whole = torch.cat(images(Processes()))
    seen = torch.cat([x for rank in range(world_size) for x in images(Processes(rank, world_size))])
    assert len(whole) == len(data.test_labels) > world_size
    assert sorted(seen.flatten(1).tolist()) == sorted(whole.flatten(1).tolist())


@pytest.mark.parametrize("world_size", [3, 7])
def test_a_batch_that_the_processes_cannot_share_is_refused(world_size):
    with pytest.raises(UserError, match=f"multiple of {world_size}"):
        open_feed(stripes_data(), SHORT, TrainingOptions(), Processes(0, world_size), CPU)


def test_two_processes_train_die_and_resume(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for out, *arguments in ((whole,), (broken, "--kill-at", 15), (broken, "--resume")):
        codes, messages = launch(support_training.__file__, out, *arguments)
        if "--kill-at" not in arguments:
            assert codes == [0, 0], messages
        else:
            assert -signal.SIGKILL in codes
            state = torch.load(broken / "state.pt", weights_only=True)
            assert (state["epoch"], state["step"]) == (1, 3)
    first, second = (torch.load(out / "last.pt", weights_only=True)["state_dict"] for out in (whole, broken))
    # Gloo adds two numbers in either order to the same bits.
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    logs = [
        [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()] for out in (whole, broken)
    ]
    for lines in logs:
        assert lines[0]["processes"] == 2
        for line in lines[1:]:
            del line[TIMINGS[0]], line[TIMINGS[1]]
    assert logs[0] == logs[1]
    assert logs[0][-1]["test_accuracy"] > 0.8


def test_batch_norms_are_exchanged_for_a_while():
    module = support_training.own_network()
    original, before = module[1], dict(module.state_dict())
    with synchronised_batch_norm(module, True):
        assert isinstance(module[1], torch.nn.SyncBatchNorm)
        assert module[1].weight is original.weight
        assert module.state_dict().keys() == before.keys()
        module.double().eval()
        module[1].running_mean += 1
    assert module[1] is original
    assert not original.training
    assert original.running_mean.tolist() == [1] * 8
    assert original.running_mean.dtype == torch.float64
    module.again = module[1]
    with synchronised_batch_norm(module, True):
        assert module.again is module[1]
        assert isinstance(module.again, torch.nn.SyncBatchNorm)
    assert module.again is module[1] is original
    with synchronised_batch_norm(module, False):
        assert module[1] is original


def test_the_command_under_torchrun(tmp_path):
    pytest.importorskip("sklearn")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "rbnn_deploy", "train", "--arch", support_training.DIGITS, "--dataset", "digits"]
    command += ["--out", str(tmp_path / "run"), "--epochs", "1", "--batch-size", "256"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch   1/1") == 1
    assert done.stdout.count("rbnn-deploy export") == 1
    assert list((tmp_path / "run").glob("*.pt"))
