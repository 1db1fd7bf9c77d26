"""Training as a user starts it: killed at any moment, on two processes and two nodes, from the command line."""

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from amphion_core.training import checkpoint
from amphion_core.training.run_folder import RunFolder

TINY = {"name": "vocoder/hifigan", "channels": 32, "upsample_rates": [8, 8, 4], "upsample_kernels": [16, 16, 8],
        "resblock": "2", "resblock_kernels": [3], "resblock_dilations": [[1, 2]]}  # fmt: skip
JUDGES = [{"name": "discriminator/mpd", "channels": 2, "periods": [2, 3]},
          {"name": "discriminator/msd", "channels": 16, "scales": 1}]  # fmt: skip
PATIENCE = 240  # seconds after which a run counts as stuck
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def voice(data_pack, tmp_path_factory):
    """A prepared folder of ten clips of the data pack."""
    root, out = tmp_path_factory.mktemp("voice"), tmp_path_factory.mktemp("prepared")
    for path in sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:10]:
        shutil.copy(path, root)
    command = [sys.executable, "-m", "amphion_core", "prepare", "folder", str(root), str(out), "dev=0.2", "test=0"]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    return out


def values(voice, **engine):
    return {
        "name": "tiny", "audio": "hifigan_22k_80", "model": TINY, "seed": 3,
        "data": {"root": str(voice), "crop": 2048, "budget": 0.2, "dev_items": 2},
        "trainer": {"name": "gan_vocoder", "discriminators": JUDGES},
        "optim": {"lr": 2e-4, "betas": [0.8, 0.99]},
        "engine": {"steps": 16, "validate_every": 4, "save_every": 2, "log_every": 1, "micro_batches": 2,
                   "ema": {"generator": 0.9}, "device": "cpu", "monitor": "mel"} | engine,
    }  # fmt: skip


def everything(run, step=16):
    """Everything in a finished run that must not depend on interruptions."""
    tensors, state = checkpoint.read(run / "checkpoints" / f"step-{step}")
    flat = {f"{kind}.{name}": tensor for kind, part in tensors.items() for name, tensor in part.items()}
    return flat, state["best"], RunFolder(run).curve()


def assert_same(one, other):
    for name, tensor in one[0].items():
        assert tensor.equal(other[0][name]), name
    assert one[0].keys() == other[0].keys()
    assert one[1:] == other[1:]


class ForkServer:
    """Starts runs as processes that can be killed."""

    def __init__(self):
        command = [sys.executable, str(Path(__file__).with_name("training_fork_server.py"))]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        self.process = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=self.errors, env=ENVIRONMENT, bufsize=0)

    def start(self, recipe, run):
        self.process.stdin.write(json.dumps({"values": recipe, "run": str(run)}).encode() + b"\n")
        return int(self.process.stdout.readline())

    def has_ended(self, patience=0.0):
        return bool(select.select([self.process.stdout], [], [], patience)[0])

    def wait(self):
        if self.has_ended(PATIENCE) and (answer := self.process.stdout.readline()):
            return int(answer)
        self.errors.seek(0)
        raise AssertionError(self.errors.read()[-3000:])


@pytest.fixture(scope="module")
def server():
    found = ForkServer()
    yield found
    found.process.kill()
    found.process.communicate()
    found.errors.close()


@pytest.fixture(scope="module")
def whole(voice, server, tmp_path_factory):
    """A run without interruptions, and the seconds it took."""
    run = tmp_path_factory.mktemp("whole") / "run"
    start = time.monotonic()
    server.start(values(voice), run)
    assert server.wait() == 0
    return everything(run), time.monotonic() - start


def test_a_run_killed_at_twenty_moments_ends_like_one_that_was_never_killed(voice, server, whole, tmp_path):
    wanted, seconds = whole
    chance, run, writing, kills = random.Random(7), tmp_path / "run", 0, 0
    while kills < 20:
        if (run / "checkpoints/step-16").exists():  # begin again, so that the kills are spread over whole runs
            assert_same(wanted, everything(run))
            shutil.rmtree(run)
        recipe = values(voice)
        recipe["data"]["workers"] = 1 if kills % 7 == 3 else 0
        child = server.start(recipe, run)
        inside = kills % 3 == 0  # a third of them while a checkpoint is being written
        moment = PATIENCE if inside else chance.uniform(0.05, 0.5) * seconds + (4 if recipe["data"]["workers"] else 0)
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and not server.has_ended():
            if inside and any((run / "checkpoints").glob(".step-*.partial/*")):
                writing += 1
                break
        with suppress(ProcessLookupError):  # it may have ended already
            os.kill(child, signal.SIGKILL)
        kills += server.wait() == -signal.SIGKILL
    assert writing >= 3
    server.start(values(voice), run)
    assert server.wait() == 0
    assert_same(wanted, everything(run))
    assert not list((run / "checkpoints").glob(".*"))


def torchrun(*words, nodes=None, **fields):
    command = [sys.executable, "-m", "torch.distributed.run", *(nodes or ["--standalone", "--nproc_per_node=2"])]
    return subprocess.Popen(
        [*command, "-m", "amphion_core", "train", *words], env=ENVIRONMENT, stderr=-1, text=True, **fields
    )


@pytest.fixture
def recipe_file(voice, tmp_path):
    from amphion_core import yaml

    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.dump(values(voice)), encoding="utf-8")
    return str(path)


def test_two_processes_are_bit_for_bit_one_also_when_one_of_them_is_killed(recipe_file, whole, tmp_path):
    run = tmp_path / "run"
    process = torchrun(recipe_file, "--out", str(run))
    while process.poll() is None and not (run / "checkpoints/step-4").exists():
        time.sleep(0.01)  # until there is something to resume from
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    assert len(ranks) >= 2
    os.kill(int(ranks[-1]), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode != 0
    process = torchrun(recipe_file, "--out", str(run), "--resume")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert_same(whole[0], everything(run))


def test_two_nodes_start_and_agree_with_one_process(recipe_file, voice, tmp_path):
    changes = ["engine.steps=5", "engine.micro_batches=4", "engine.save_every=5"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = [
        torchrun(
            recipe_file, *changes, "--out", str(tmp_path / "two"),
            nodes=["--nnodes=2", f"--node_rank={rank}", "--nproc_per_node=1", "--master_addr=127.0.0.1",
                   f"--master_port={port}"],
        )
        for rank in (0, 1)
    ]  # fmt: skip
    errors = [node.communicate(timeout=240)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], errors
    command = [sys.executable, "-m", "amphion_core", "train", recipe_file, *changes, "--out", str(tmp_path / "one")]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    curves = [
        [line for line in RunFolder(tmp_path / name).curve() if "generator/loss" in line] for name in ("one", "two")
    ]
    assert len(curves[0]) == 5
    for one, two in zip(*curves, strict=True):
        for name, value in ((name, value) for name, value in one.items() if name.endswith("/loss")):
            assert two[name] == pytest.approx(value, rel=1e-5), (one["step"], name)


def test_an_interrupt_ends_the_run_with_a_checkpoint_and_the_way_on(recipe_file, whole, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "amphion_core", "train", recipe_file, "--out", str(run)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=-1, text=True)
    while process.poll() is None and not (run / "metrics.jsonl").exists():
        time.sleep(0.01)  # until the first step is complete
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "to continue, run the same command with --resume" in " ".join(errors.split())
    last = checkpoint.steps(run / "checkpoints")[0]
    assert last == RunFolder(run).curve()[-1]["step"]
    done = subprocess.run([*command, "--resume"], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith(f"weights: {run}/weights")
    assert_same(whole[0], everything(run))


def test_a_trained_vocoder_is_loaded_by_its_folder_and_speaks(recipe_file, voice, tmp_path, data_pack):
    import amphion_core as amphion

    run = tmp_path / "run"
    command = [sys.executable, "-m", "amphion_core", "train", recipe_file, "engine.steps=2", "--out", str(run)]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    net = amphion.load(run / "weights")
    assert net.vocode(torch.zeros(1, 80, 10)).shape == (1, 2560)
    clip = sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[0]
    words = ["vocode", str(clip), "-o", str(tmp_path / "out.wav"), "--vocoder", str(run / "weights")]
    done = subprocess.run(
        [sys.executable, "-m", "amphion_core", *words], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.wav").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["audio=bigvgan_24k_100"], "have another rate than the model's 24000 Hz"),
        (["model.mel={preset: hifigan_22k_80, fmin: 20}"], "audio and model.mel are different mel conventions"),
        (["data.root=nowhere"], "nowhere is not a prepared folder"),
        (["data.root=[]"], "data.root is not set"),
        (["engine.micro_batches=0"], "engine.micro_batches"),
        (["trainer.discriminators=[discriminator/msdd]"], "did you mean discriminator/msd?"),
        (["engine.monitor=msft"], "there is no score 'msft'"),
        (["engine.device=cuda:99"], "this computer has no device 'cuda:99'"),
    ],
)
def test_bad_recipes_end_with_one_sentence_and_exit_code_2(recipe_file, tmp_path, capsys, changes, message):
    from amphion_core.cli.main import main

    assert main(["train", recipe_file, *changes, "engine.steps=1", "--out", str(tmp_path / "run")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
